find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

# Flags that every target of the project shares, so that one precompiled header serves them all.
add_library(millrace_flags INTERFACE)
target_compile_options(millrace_flags INTERFACE
  -Wall -Wextra -Wno-missing-field-initializers -fpch-preprocess)
# GCC 12 takes the recycled frames of Asio's coroutines for mismatched allocations.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(millrace_flags INTERFACE -Wno-mismatched-new-delete)
  # Where it optimises fully it takes members of variants for uninitialised and short texts for huge ones.
  target_compile_options(millrace_flags INTERFACE
    $<$<CONFIG:Release>:-Wno-maybe-uninitialized;-Wno-stringop-overflow;-Wno-restrict>)
endif()
if(MILLRACE_WERROR)
  target_compile_options(millrace_flags INTERFACE -Werror)
endif()
if(MILLRACE_SANITIZE)
  # The checks that sanitizers add make GCC take variant members for uninitialised ones.
  target_compile_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE} -fno-omit-frame-pointer
                                                  -fno-sanitize-recover=all -Wno-maybe-uninitialized)
  target_link_options(millrace_flags INTERFACE -fsanitize=${MILLRACE_SANITIZE})
endif()
target_compile_definitions(millrace_flags INTERFACE
  MILLRACE_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION
  BOOST_ASIO_NO_DEPRECATED)
target_include_directories(millrace_flags INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/src> $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}/generated>
  $<INSTALL_INTERFACE:include/millrace>)
target_link_libraries(millrace_flags INTERFACE Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)

# The precompiled header holds what nearly every file includes: the standard library, the narrow part of Asio.
file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/generated/precompiled.cpp CONTENT "")
add_library(millrace_precompiled STATIC ${CMAKE_BINARY_DIR}/generated/precompiled.cpp)
target_link_libraries(millrace_precompiled PUBLIC millrace_flags)
target_precompile_headers(millrace_precompiled PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.hpp)

# millrace_layer(NAME DEPENDS layer... LINK library...): src/NAME/*.cpp as the static library millrace_NAME.
function(millrace_layer name)
  cmake_parse_arguments(LAYER "" "" "DEPENDS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    set(sources ${CMAKE_BINARY_DIR}/generated/precompiled.cpp)
  endif()
  list(TRANSFORM LAYER_DEPENDS PREPEND millrace_)
  add_library(millrace_${name} STATIC ${sources})
  target_link_libraries(millrace_${name} PUBLIC millrace_flags ${LAYER_DEPENDS} ${LAYER_LINK})
  target_precompile_headers(millrace_${name} REUSE_FROM millrace_precompiled)
endfunction()

# millrace_schema(FOLDER HEADER ARRAY): the numbered migrations of src/store/FOLDER as one generated header.
function(millrace_schema folder header array)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/store/${folder}/*.sql)
  list(SORT scripts)
  set(text "// Generated from src/store/${folder}.\n#pragma once\n")
  string(APPEND text "#include <array>\n#include <string_view>\n\n")
  list(LENGTH scripts count)
  string(APPEND text "inline constexpr std::array<std::string_view, ${count}> ${array} = {\n")
  foreach(script ${scripts})
    file(READ ${script} sql)
    string(APPEND text "    std::string_view(R\"sql(\n${sql})sql\"),\n")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})
  endforeach()
  string(APPEND text "};\n")
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${header} CONTENT "${text}" @ONLY)
endfunction()
millrace_schema(schema migrations.hpp kMigrations)
millrace_schema(schema/postgres migrations_postgres.hpp kPostgresMigrations)
