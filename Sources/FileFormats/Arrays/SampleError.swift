/// Why samples cannot be read.
public struct SampleError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Whose fault it is.
  public struct Code: Sendable, Equatable {
    private let name: String
    /// The samples are not what they should be.
    public static let wrongData = Code(name: "wrong data")
    /// The samples cannot be read where they stand.
    public static let noInput = Code(name: "no input")
  }

  /// Whose fault it is.
  public let code: Code
  /// One line: the stream's name, the line or row, and what was expected there.
  public let description: String

  /// Says why.
  public init(_ code: Code, _ description: String) {
    self.code = code
    self.description = description
  }
}

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
