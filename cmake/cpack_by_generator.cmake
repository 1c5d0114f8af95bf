# Read by cpack once per generator: a tarball is unpacked anywhere, a Debian package has its place.
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_PACKAGING_INSTALL_PREFIX /opt/banyan)
endif()
