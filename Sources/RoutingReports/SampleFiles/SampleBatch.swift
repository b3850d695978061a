import FileFormats
import RoutingCore
import RoutingVerification

/// Some samples of a stream, next to each other.
package struct SampleBatch {
  /// Gradients, `[samples][coordinates]`.
  package internal(set) var gradients: [Double] = []
  /// What was drawn, one for each sample if the stream tells.
  package internal(set) var draws: [ForeignDraw] = []
  /// Whole outcomes, if that is what the stream has.
  package internal(set) var outcomes: [ForeignOutcome] = []

  /// A batch holds at most so many samples.
  static let mostRows = 1024
  /// And, but for its first sample, at most so many numbers.
  static let mostNumbers = 1 << 16

  /// An empty batch.
  package init() {}

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
  func next(_ batch: inout SampleBatch) throws(Refusal) -> Bool
}

/// A stream of samples in any of the formats, told apart by their first bytes.
package final class SampleStream {
  /// How samples are written.
  package enum Format: String, Sendable, CaseIterable {
    case npy
    case npz
    case csv
    case jsonLines = "json-lines"
  }

  /// How these are.
  package let format: Format
  private let reader: any SampleReader

  /// Opens a stream.
  ///
  /// - Parameters:
  ///   - name: what it is called in messages.
  ///   - coordinates: the length of a gradient, and the number of experts.
  ///   - reopen: opens the same bytes from their beginning again, or nil if they pass by once. An `.npz` whose
  ///     members are read side by side needs it.
  ///   - source: the bytes.
  /// - Throws: ``Refusal`` if this is no stream of samples.
  package init(
    _ source: any ByteSource, name: String, coordinates: Int,
    reopen: (() throws(Refusal) -> any ByteSource)? = nil
  ) throws(Refusal) {
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
      throw Refusal(.wrongData, "\(name): expected samples, got an empty stream")
    } else if start.first(where: { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }) == UInt8(ascii: "{") {
      format = .jsonLines
      reader = try JSONLineReader(bytes, coordinates: coordinates)
    } else {
      format = .csv
      reader = try CSVReader(bytes, coordinates: coordinates)
    }
  }

  /// What samples come with.
  package var drawsGiven: SampleVerifier.DrawsGiven { reader.drawsGiven }

  /// Whether the stream lists outcomes with their probabilities.
  package var areOutcomes: Bool { reader.areOutcomes }

  /// How a sample is found again: its place in the stream, from its number.
  package func place(ofRow row: Int) -> String {
    switch format {
    case .npy, .npz: "row \(row) (from 0)"
    case .csv: "line \(row + 1 + ((reader as? CSVReader)?.headerLines ?? 0))"
    case .jsonLines: "line \(row + 1)"
    }
  }

  /// Replaces a batch by the next samples; false at the end.
  package func next(_ batch: inout SampleBatch) throws(Refusal) -> Bool {
    batch.removeAll()
    return try reader.next(&batch)
  }
}
