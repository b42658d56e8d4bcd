# Every library comes from Debian (docs/dependencies.md says why each is here and under which licence).
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS headers json url)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 3.40 REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(TEXT REQUIRED IMPORTED_TARGET gumbo md4c libzip pugixml uchardet icu-uc icu-i18n)

if(NOT TARGET SQLite::SQLite3)
  add_library(SQLite::SQLite3 ALIAS SQLite3::SQLite3)
endif()

add_library(text_libraries INTERFACE)
target_link_libraries(text_libraries INTERFACE PkgConfig::TEXT)
add_library(Text::Libraries ALIAS text_libraries)

find_library(STEMMER_LIBRARY stemmer REQUIRED)
add_library(stemmer_library INTERFACE)
target_link_libraries(stemmer_library INTERFACE ${STEMMER_LIBRARY})
add_library(Stemmer::Stemmer ALIAS stemmer_library)

find_path(HNSW_INCLUDE hnswlib/hnswlib.h REQUIRED)
add_library(hnsw INTERFACE)
target_include_directories(hnsw SYSTEM INTERFACE ${HNSW_INCLUDE})
add_library(Hnsw::Hnsw ALIAS hnsw)
