import CStandardLibrary
import FileFormats
import RoutingCore
import RoutingVerification

/// Gradients as lines of numbers between commas, `[samples][coordinates]`.
///
/// *Edge cases*: a first line in which not every cell is a number is a header; empty lines may stand at the end only;
/// spaces around numbers are passed over.
final class CSVReader: SampleReader {
  let drawsGiven = SampleVerifier.DrawsGiven.none
  let areOutcomes = false
  /// 1 if there is a header.
  private(set) var headerLines = 0
  private let bytes: ByteStream
  private let coordinates: Int
  private var lines = 0
  private var emptyLine: Int?

  init(_ bytes: ByteStream, coordinates: Int) throws(Refusal) {
    self.bytes = bytes
    self.coordinates = coordinates
  }

  func next(_ batch: inout SampleBatch) throws(Refusal) -> Bool {
    var rows = 0
    while rows < SampleBatch.mostRows, rows == 0 || (rows + 1) * coordinates <= SampleBatch.mostNumbers {
      guard rows == 0 || bytes.hasLine else { break }
      lines += 1
      guard let line = try bytes.line(number: lines) else { break }
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) {
        emptyLine = emptyLine ?? lines
        continue
      }
      if let emptyLine { throw wrong(emptyLine, "expected \(coordinates) numbers, got an empty line") }
      if lines == 1, isHeader(line) {
        headerLines = 1
        continue
      }
      try read(line, into: &batch.gradients)
      rows += 1
    }
    return rows > 0
  }

  /// A first line with a cell that is no number, not even one that is not finite.
  private func isHeader(_ line: UnsafeMutableBufferPointer<UInt8>) -> Bool {
    let text = String(decoding: line, as: UTF8.self)
    return text.split(separator: ",", omittingEmptySubsequences: false).contains { cell in
      let cell = cell.filter { !$0.isWhitespace }
      return !cell.isEmpty && Double(String(cell)) == nil
    }
  }

  private func read(_ line: UnsafeMutableBufferPointer<UInt8>, into numbers: inout [Double]) throws(Refusal) {
    guard let base = line.baseAddress else { return }
    var position = base
    let end = base + line.count
    for k in 0..<coordinates {
      while position < end, position.pointee == 0x20 || position.pointee == 0x09 { position += 1 }
      let start = UnsafeRawPointer(position).assumingMemoryBound(to: CChar.self)
      var stop: UnsafeMutablePointer<CChar>?
      let number = strtod(start, &stop)
      let length = stop.map { UnsafePointer($0) - start } ?? 0
      guard length > 0, position + length <= end, number.isFinite else {
        let cell = String(
          decoding: UnsafeBufferPointer(start: position, count: end - position).prefix { $0 != 0x2C }, as: UTF8.self)
        if cell.isEmpty, position == end, k > 0, !endsWithComma(base, end) { throw ragged(line) }
        throw wrong(lines, "column \(k + 1): expected a finite number, got '\(cell.clipped(to: 40))'")
      }
      position += length
      while position < end, position.pointee == 0x20 || position.pointee == 0x09 { position += 1 }
      numbers.append(number)
      if k < coordinates - 1 {
        guard position < end else { throw ragged(line) }
        guard position.pointee == 0x2C else { throw unexpected(position, end, column: k) }
        position += 1
      }
    }
    guard position == end else {
      guard position.pointee == 0x2C else { throw unexpected(position, end, column: coordinates - 1) }
      throw ragged(line)
    }
  }

  private func endsWithComma(_ base: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>) -> Bool {
    end > base && (end - 1).pointee == 0x2C
  }

  private func ragged(_ line: UnsafeMutableBufferPointer<UInt8>) -> Refusal {
    let cells = line.count { $0 == 0x2C } + 1
    return wrong(lines, "expected \(coordinates) numbers, one for each expert, got \(cells)")
  }

  private func unexpected(
    _ position: UnsafeMutablePointer<UInt8>, _ end: UnsafeMutablePointer<UInt8>, column: Int
  ) -> Refusal {
    let rest = String(decoding: UnsafeBufferPointer(start: position, count: end - position), as: UTF8.self)
    return wrong(lines, "column \(column + 1): expected ',' after a number, got '\(rest.clipped(to: 40))'")
  }

  private func wrong(_ line: Int, _ expectation: String) -> Refusal {
    Refusal(.wrongData, "\(bytes.name): line \(line): \(expectation)")
  }
}
