import RoutingCore

/// The numbers of an array in `.npy` format, row by row.
package final class NpyArray {
  /// The number of rows, and of numbers in each: a list counts as a column.
  package let rows: Int
  package let width: Int
  package let element: NpyHeader.Element
  /// What the array is called in messages.
  package let place: String
  /// The next row's number.
  package private(set) var row = 0
  private let bytes: ByteStream

  /// Reads the header.
  ///
  /// - Parameters:
  ///   - bytes: a stream that begins with the array.
  ///   - member: its name within an archive.
  package init(_ bytes: ByteStream, member: String?) throws(Refusal) {
    self.bytes = bytes
    place = member.map { "\(bytes.name): \($0)" } ?? bytes.name
    let header = try NpyHeader(bytes, place: place)
    element = header.element
    guard (1...2).contains(header.shape.count) else {
      throw Refusal(
        .wrongData,
        "\(place): expected an array [samples, experts], got \(header.shape.count) dimensions \(header.shape)")
    }
    rows = header.shape[0]
    width = header.shape.count == 2 ? header.shape[1] : 1
    guard !width.multipliedReportingOverflow(by: element.bytes).overflow, width * element.bytes <= 1 << 28 else {
      throw Refusal(.wrongData, "\(place): expected rows of at most \(1 << 28) bytes, got \(width) numbers")
    }
  }

  /// Whole rows that are there without waiting, at most as many as asked for and at least one unless it is the end.
  package func readyRows(atMost count: Int) throws(Refusal) -> Int {
    let wanted = min(count, rows - row)
    guard wanted > 0 else {
      // One byte more than there should be is one too many; in an archive the member's checksum is looked at here.
      guard try !bytes.require(1) else {
        throw Refusal(.wrongData, "\(place): expected the end after \(rows) rows, got more bytes")
      }
      return 0
    }
    let size = width * element.bytes
    guard size > 0 else { return wanted }
    guard try bytes.require(size) else {
      throw Refusal(
        .wrongData,
        "\(place): row \(row) of \(rows): expected \(size) bytes, got \(bytes.available.count) (the file is truncated)")
    }
    return min(wanted, bytes.available.count / size)
  }

  /// Appends rows of numbers.
  package func read(_ count: Int, into numbers: inout [Double]) throws(Refusal) {
    try read(count) { (number, row, column) throws(Refusal) in
      guard number.isFinite else {
        throw Refusal(
          .wrongData, "\(place): row \(row), column \(column) (from 0): expected a finite number, got \(number)")
      }
      numbers.append(number)
    }
  }

  /// Appends rows of whole numbers.
  package func read(_ count: Int, into rows: inout [[Int]]) throws(Refusal) {
    var current: [Int] = []
    let width = width
    if width == 0 { rows += [[Int]](repeating: [], count: count) }
    try read(count) { (number, row, column) throws(Refusal) in
      guard let integer = Int(exactly: number) else {
        throw Refusal(
          .wrongData, "\(place): row \(row), column \(column) (from 0): expected a whole number, got \(number)")
      }
      current.append(integer)
      if current.count == width {
        rows.append(current)
        current.removeAll(keepingCapacity: true)
      }
    }
  }

  private func read(
    _ count: Int, _ body: (_ number: Double, _ row: Int, _ column: Int) throws(Refusal) -> Void
  ) throws(Refusal) {
    let size = element.bytes
    let bytesOfRow = width * size
    for _ in 0..<count {
      guard try bytes.require(bytesOfRow) else {
        throw Refusal(
          .wrongData,
          "\(place): row \(row) of \(rows): expected \(bytesOfRow) bytes, got \(bytes.available.count) (the file is truncated)"
        )
      }
      let available = bytes.available
      for column in 0..<width { try body(number(available, at: column * size), row, column) }
      bytes.consume(bytesOfRow)
      row += 1
    }
  }

  @inline(__always)
  private func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Double {
    func load<T: FixedWidthInteger>(_ type: T.Type) -> T {
      let word = bytes.loadUnaligned(fromByteOffset: offset, as: type)
      return element.isBigEndian ? T(bigEndian: word) : T(littleEndian: word)
    }
    switch (element.kind, element.bytes) {
    case ("f", 8): return Double(bitPattern: load(UInt64.self))
    case ("f", 4): return Double(Float(bitPattern: load(UInt32.self)))
    case ("f", _): return Double(half: load(UInt16.self))
    case ("i", 1): return Double(load(Int8.self))
    case ("i", 2): return Double(load(Int16.self))
    case ("i", 4): return Double(load(Int32.self))
    case ("i", _): return Double(load(Int64.self))
    case (_, 1): return Double(load(UInt8.self))
    case (_, 2): return Double(load(UInt16.self))
    case (_, 4): return Double(load(UInt32.self))
    default: return Double(load(UInt64.self))
    }
  }
}
