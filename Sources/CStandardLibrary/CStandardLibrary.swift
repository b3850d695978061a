// The platform's C library under one name: elementary functions, and the few calls of the system that swift-system does not have.
#if canImport(Glibc)
  @_exported import Glibc
#elseif canImport(Musl)
  @_exported import Musl
#else
  @_exported import Darwin
#endif
