import FileFormats
import RoutingVerification

/// Some samples of a stream, next to each other.
public struct SampleBatch {
  /// Gradients, `[samples][coordinates]`.
  public internal(set) var gradients: [Double] = []
  /// What was drawn, one for each sample if the stream tells.
  public internal(set) var draws: [ForeignDraw] = []
  /// Whole outcomes, if that is what the stream has.
  public internal(set) var outcomes: [ForeignOutcome] = []

  /// A batch holds at most so many samples.
  static let mostRows = 1024
  /// And, but for its first sample, at most so many numbers.
  static let mostNumbers = 1 << 16

  /// An empty batch.
  public init() {}

  mutating func removeAll() {
    gradients.removeAll(keepingCapacity: true)
    draws.removeAll(keepingCapacity: true)
    outcomes.removeAll(keepingCapacity: true)
  }
}

/// Reads the samples of one format.
protocol SampleReader: AnyObject {
  /// What samples come with.
  var drawsGiven: SampleVerifier.DrawsGiven { get }
  /// Whether every sample comes with its probability, so that the stream lists outcomes.
  var areOutcomes: Bool { get }
  /// Replaces a batch by the next samples: at least one, and then those that can be had without waiting. Returns false at the
  /// end of the stream.
  func next(_ batch: inout SampleBatch) throws(SampleError) -> Bool
}

/// A stream of samples in any of the formats, told apart by their first bytes.
public final class SampleStream {
  /// How samples are written.
  public enum Format: String, Sendable, CaseIterable {
    case npy
    case npz
    case csv
    case jsonLines = "json-lines"
  }

  /// How these are.
  public let format: Format
  private let reader: any SampleReader

  /// Opens a stream.
  ///
  /// - Parameters:
  ///   - name: what it is called in messages.
  ///   - coordinates: the length of a gradient, and the number of experts.
  ///   - reopen: opens the same bytes from their beginning again, or nil if they pass by once. An `.npz` whose
  ///     members are read side by side needs it.
  ///   - source: the bytes.
  /// - Throws: ``SampleError`` if this is no stream of samples.
  public init(
    _ source: any ByteSource, name: String, coordinates: Int,
    reopen: (() throws(SampleError) -> any ByteSource)? = nil
  ) throws(SampleError) {
    let bytes = ByteStream(source, name: name)
    _ = try bytes.require(6)
    let start = bytes.available
    if start.starts(with: NpyHeader.magic) {
      format = .npy
      reader = try ArrayReader(gradient: NpyArray(bytes, member: nil), coordinates: coordinates)
    } else if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) || start.starts(with: [0x50, 0x4B, 0x05, 0x06]) {
      format = .npz
      reader = try ArrayReader(zip: bytes, coordinates: coordinates, reopen: reopen)
    } else if start.isEmpty {
      throw SampleError(.wrongData, "\(name): expected samples, got an empty stream")
    } else if start.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "{") {
      format = .jsonLines
      reader = try JSONLineReader(bytes, coordinates: coordinates)
    } else {
      format = .csv
      reader = try CSVReader(bytes, coordinates: coordinates)
    }
  }

  /// What samples come with.
  public var drawsGiven: SampleVerifier.DrawsGiven { reader.drawsGiven }

  /// Whether the stream lists outcomes with their probabilities.
  public var areOutcomes: Bool { reader.areOutcomes }

  /// How a sample is found again: its place in the stream, from its number.
  public func place(ofRow row: Int) -> String {
    switch format {
    case .npy, .npz: "row \(row) (from 0)"
    case .csv: "line \(row + 1 + ((reader as? CSVReader)?.headerLines ?? 0))"
    case .jsonLines: "line \(row + 1)"
    }
  }

  /// Replaces a batch by the next samples; false at the end.
  public func next(_ batch: inout SampleBatch) throws(SampleError) -> Bool {
    batch.removeAll()
    return try reader.next(&batch)
  }
}
