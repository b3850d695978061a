/// Damage that knows nothing of a format.
enum ByteMutation {
  /// Flips, cuts, repeats, inserts or overwrites bytes somewhere.
  static func apply(to bytes: inout [UInt8], _ dice: inout Dice) {
    guard !bytes.isEmpty else {
      bytes = [dice.byte()]
      return
    }
    let place = dice.below(bytes.count)
    let end = min(place + dice.among(1...32), bytes.count)
    switch dice.below(9) {
    case 0, 1: bytes[place] ^= 1 << UInt8(dice.below(8))
    case 2: bytes[place] = dice.one(of: [0, 0x0A, 0x20, 0x22, 0x2C, 0x2D, 0x30, 0x7F, 0x80, 0xFF] as [UInt8])
    case 3: bytes.removeSubrange(place...)
    case 4: bytes.removeSubrange(place..<end)
    case 5: bytes.insert(contentsOf: bytes[place..<end], at: dice.below(bytes.count + 1))
    case 6: for k in place..<end { bytes[k] = dice.byte() }
    case 7: bytes.insert(contentsOf: (0..<dice.among(1...8)).map { _ in dice.byte() }, at: place)
    default: bytes.removeSubrange(..<place)
    }
  }
}

extension [UInt8] {
  /// A number's bytes, the least significant first.
  mutating func append<Number: FixedWidthInteger>(littleEndian number: Number) {
    Swift.withUnsafeBytes(of: number.littleEndian) { self += $0 }
  }
}
