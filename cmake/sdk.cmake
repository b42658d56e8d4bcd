# The library that handlers of one's own are built with (docs/handlers.md): `millrace::sdk`, found by
# find_package(millrace CONFIG) in the build folder and where it was installed.
set(millrace_sdk_targets millrace_sdk millrace_work millrace_broker millrace_store millrace_telemetry
                         millrace_base millrace_flags)

add_library(millrace_sdk INTERFACE)
target_link_libraries(millrace_sdk INTERFACE millrace_work)
set_target_properties(millrace_sdk PROPERTIES EXPORT_NAME sdk)

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/millrace-config.cmake @ONLY CONTENT [[
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(Boost 1.81 COMPONENTS headers json url)
find_dependency(OpenSSL 3)
find_dependency(SQLite3 3.40)
find_dependency(PkgConfig)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=15)
find_dependency(spdlog)
find_dependency(prometheus-cpp)
include(${CMAKE_CURRENT_LIST_DIR}/millrace-targets.cmake)
]])
export(TARGETS ${millrace_sdk_targets} NAMESPACE millrace:: FILE ${CMAKE_BINARY_DIR}/millrace-targets.cmake)

include(GNUInstallDirs)
set(millrace_sdk_folder ${CMAKE_INSTALL_LIBDIR}/cmake/millrace)
install(TARGETS ${millrace_sdk_targets} EXPORT millrace-targets COMPONENT sdk)
install(EXPORT millrace-targets NAMESPACE millrace:: DESTINATION ${millrace_sdk_folder} COMPONENT sdk)
install(FILES ${CMAKE_BINARY_DIR}/millrace-config.cmake DESTINATION ${millrace_sdk_folder} COMPONENT sdk)
foreach(layer base telemetry store broker work)
  install(DIRECTORY src/${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/millrace COMPONENT sdk
          FILES_MATCHING PATTERN "*.hpp")
endforeach()
