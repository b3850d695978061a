internal import CZlib

/// The CRC-32 of bytes, by which files know each other again and damage is found (zlib's).
package func crc32(of bytes: [UInt8]) -> UInt { crc32_z(0, bytes, bytes.count) }
