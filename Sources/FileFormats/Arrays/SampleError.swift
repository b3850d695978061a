import RoutingCore

/// Why samples cannot be read.
public typealias SampleError = Refusal

/// Where bytes come from: a file, a pipe.
public protocol ByteSource: AnyObject {
  /// Reads some bytes, at least one unless there are no more; returns their number.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(SampleError) -> Int
  /// Passes over bytes without reading them, if that can be done; returns whether it was.
  func skip(_ count: Int) -> Bool
}

extension ByteSource {
  public func skip(_ count: Int) -> Bool { false }
}
