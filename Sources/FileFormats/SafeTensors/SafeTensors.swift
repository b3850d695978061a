import RoutingCore

/// A `.safetensors` file: named tensors and a map of strings.
///
/// Files come from anywhere, so everything that the header says is checked before a byte of data is looked at: lengths
/// without overflow, offsets within the file, no two tensors in one place and no gap between them, no name twice.
///
/// *Source*: github.com/huggingface/safetensors, README, "Format".
package struct SafeTensors: Sendable {
  /// The map under `__metadata__`.
  package let metadata: [String: String]
  /// The tensors, by name.
  package let tensors: [String: Entry]
  private let bytes: [UInt8]

  /// Where a tensor is, and what.
  package struct Entry: Sendable, Equatable {
    /// The type of its numbers.
    package let type: Element
    /// Its extents.
    package let shape: [Int]
    /// Its place in the file.
    package let range: Range<Int>

    /// The number of its entries.
    package var count: Int { shape.reduce(1, *) }
  }

  /// The types that the format knows, of which this program reads five.
  package enum Element: String, Sendable, CaseIterable {
    case bool = "BOOL"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    /// The length of one number.
    package var size: Int {
      switch self {
      case .bool, .u8, .i8, .f8e5m2, .f8e4m3: 1
      case .i16, .u16, .f16, .bf16: 2
      case .i32, .u32, .f32: 4
      case .f64, .i64, .u64: 8
      }
    }
  }

  /// Longer headers are refused, as the reference implementation does.
  static let longestHeader = 100_000_000

  /// Reads a file's header.
  ///
  /// - Throws: `InvalidInput` for the first thing that is wrong with it.
  package init(_ bytes: [UInt8]) throws(InvalidInput) {
    guard bytes.count >= 8 else {
      throw InvalidInput("", "expected a safetensors file of at least 8 bytes, got \(bytes.count)")
    }
    let length = bytes[..<8].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    guard length <= Self.longestHeader else {
      throw InvalidInput("", "expected a header of at most \(Self.longestHeader) bytes, got \(length)")
    }
    guard length <= bytes.count - 8 else {
      throw InvalidInput("", "expected a header of \(length) bytes, the file has \(bytes.count - 8) left")
    }
    let start = 8 + Int(length)
    let header = try SafeTensorsHeader(Array(bytes[8..<start]))
    var tensors: [String: Entry] = [:]
    for entry in header.tensors {
      tensors[entry.name] = try Self.entry(entry, dataStart: start, dataCount: bytes.count - start)
    }
    // Side by side, from the first byte to the last.
    var end = start
    let inOrder = tensors.sorted { ($0.value.range.lowerBound, $0.key) < ($1.value.range.lowerBound, $1.key) }
    for (name, entry) in inOrder where !entry.range.isEmpty {
      guard entry.range.lowerBound >= end else {
        throw InvalidInput(name.clipped(to: 60), "expected data of its own, it overlaps another tensor's")
      }
      guard entry.range.lowerBound == end else {
        throw InvalidInput(name.clipped(to: 60), "expected its data to begin where others' end")
      }
      end = entry.range.upperBound
    }
    guard end == bytes.count else {
      throw InvalidInput("", "expected \(end) bytes, as its tensors take, got \(bytes.count)")
    }
    self.metadata = header.metadata
    self.tensors = tensors
    self.bytes = bytes
  }

  private static func entry(
    _ entry: SafeTensorsHeader.Tensor, dataStart: Int, dataCount: Int
  ) throws(InvalidInput) -> Entry {
    let name = entry.name.clipped(to: 60)
    guard let type = Element(rawValue: entry.type) else {
      throw InvalidInput("\(name).dtype", "expected a type of numbers, got '\(entry.type.prefix(20))'")
    }
    var size = type.size
    for extent in entry.shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: extent)
      guard !overflow else { throw InvalidInput("\(name).shape", "expected extents whose product fits") }
      size = product
    }
    let (begin, end) = (entry.begin, entry.end)
    guard begin <= end, end <= dataCount else {
      throw InvalidInput(
        "\(name).data_offsets", "expected offsets up to \(dataCount) in order, got \(begin) and \(end)")
    }
    guard end - begin == size else {
      throw InvalidInput(
        "\(name).data_offsets", "expected \(size) bytes, as its shape and type take, got \(end - begin)")
    }
    return Entry(type: type, shape: entry.shape, range: dataStart + begin..<dataStart + end)
  }

  // MARK: - Numbers

  /// A tensor's numbers as Float64, all of which F16, BF16, F32 and F64 convert to exactly.
  ///
  /// - Throws: `InvalidInput` if there is no such tensor, it is of another type, or a number is not finite.
  package func numbers(_ name: String) throws(InvalidInput) -> [Double] {
    var values = [Double](repeating: 0, count: try entry(name).count)
    var refusal: InvalidInput?
    values.withUnsafeMutableBufferPointer { values in
      guard let start = values.baseAddress else { return }
      do throws(InvalidInput) { try read(name, into: start) } catch { refusal = error }
    }
    if let refusal { throw refusal }
    return values
  }

  /// Reads a tensor's numbers as Float64 into memory that has room for them, as ``numbers(_:)`` does, on some threads.
  package func read(
    _ name: String, into memory: UnsafeMutablePointer<Double>, threads: Int = 1
  ) throws(InvalidInput) {
    let entry = try entry(name)
    nonisolated(unsafe) let memory = memory
    let fault = bytes.withUnsafeBytes { raw -> Int?? in
      nonisolated(unsafe) let raw = raw
      /// The place of the first number that is not finite.
      func load<T: FixedWidthInteger>(_ type: T.Type, _ convert: @Sendable (T) -> Double) -> Int? {
        let part = 1 << 20
        return parallelMap(0..<(entry.count + part - 1) / part, threads: threads) { index in
          var fault: Int?
          for k in index * part..<min((index + 1) * part, entry.count) {
            let place = entry.range.lowerBound + k * entry.type.size
            let value = convert(T(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: T.self)))
            memory[k] = value
            if !value.isFinite, fault == nil { fault = k }
          }
          return fault
        }.lazy.compactMap(\.self).first
      }
      return switch entry.type {
      case .f64: .some(load(UInt64.self) { Double(bitPattern: $0) })
      case .f32: .some(load(UInt32.self) { Double(Float(bitPattern: $0)) })
      case .bf16: .some(load(UInt16.self) { Double(Float(bitPattern: UInt32($0) << 16)) })
      case .f16: .some(load(UInt16.self) { Double(half: $0) })
      default: nil
      }
    }
    guard let fault else {
      throw InvalidInput(name, "expected numbers of type F64, F32, BF16 or F16, got \(entry.type.rawValue)")
    }
    if let k = fault { throw InvalidInput("\(name)[\(k)]", "expected a finite number, got \(memory[k])") }
  }

  /// Throws `InvalidInput` unless there is a tensor F32 of a shape, all of it finite.
  package func requireFloats(_ name: String, shape: [Int]) throws(InvalidInput) {
    let entry = tensors[name]
    guard let entry, entry.type == .f32, entry.shape == shape else {
      throw InvalidInput(
        name, "expected a tensor F32 \(shape), got \(entry.map { "\($0.type.rawValue) \($0.shape)" } ?? "none")")
    }
    let fault = bytes.withUnsafeBytes { raw in
      (0..<entry.count).first { k in
        // All ones is the exponent of NaN and the infinities.
        let bits = raw.loadUnaligned(fromByteOffset: entry.range.lowerBound + 4 * k, as: UInt32.self)
        return UInt32(littleEndian: bits) & 0x7F80_0000 == 0x7F80_0000
      }
    }
    if let fault { throw InvalidInput("\(name)[\(fault)]", "expected a finite number, got one that is not") }
  }

  /// Copies a tensor of F32 bit by bit.
  ///
  /// - Precondition: there is such a tensor.
  package func copyFloats(_ name: String, to memory: UnsafeMutablePointer<Float>) {
    guard let entry = tensors[name], entry.type == .f32 else { preconditionFailure("\(name) is no tensor of F32") }
    bytes.withUnsafeBytes { raw in
      for k in 0..<entry.count {
        let bits = raw.loadUnaligned(fromByteOffset: entry.range.lowerBound + 4 * k, as: UInt32.self)
        memory[k] = Float(bitPattern: UInt32(littleEndian: bits))
      }
    }
  }

  /// A tensor of whole numbers (I64 or I32).
  package func integers(_ name: String) throws(InvalidInput) -> [Int] {
    let entry = try entry(name)
    guard entry.type == .i64 || entry.type == .i32 else {
      throw InvalidInput(name, "expected whole numbers of type I64 or I32, got \(entry.type.rawValue)")
    }
    return bytes.withUnsafeBytes { raw in
      (0..<entry.count).map { k in
        let place = entry.range.lowerBound + k * entry.type.size
        return entry.type == .i64
          ? Int(Int64(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: Int64.self)))
          : Int(Int32(littleEndian: raw.loadUnaligned(fromByteOffset: place, as: Int32.self)))
      }
    }
  }

  private func entry(_ name: String) throws(InvalidInput) -> Entry {
    guard let entry = tensors[name] else { throw InvalidInput(name, "expected a tensor, it is missing") }
    return entry
  }
}
