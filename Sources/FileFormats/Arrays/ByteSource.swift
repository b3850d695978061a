import RoutingCore

/// Where bytes come from: a file, a pipe.
package protocol ByteSource: AnyObject {
  /// Reads some bytes, at least one unless there are no more; returns their number.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(Refusal) -> Int
  /// Passes over bytes without reading them, if that can be done; returns whether it was.
  func skip(_ count: Int) -> Bool
}

extension ByteSource {
  package func skip(_ count: Int) -> Bool { false }
}
