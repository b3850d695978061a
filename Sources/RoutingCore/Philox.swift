/// The counter-based generator Philox4x32-10: the k-th number of a stream is a function of (seed, stream, k) alone.
///
/// Streams of one seed are independent for all practical purposes, and any of them can be started anywhere, so work can
/// be split over threads without changing a bit of the result.
///
/// Specification: block b of stream s under seed k is Philox4x32-10 of the counter (b mod 2³², b div 2³²,
/// s mod 2³², s div 2³²) under the key (k mod 2³², k div 2³²); its four words (w₀, w₁, w₂, w₃) are handed out as
/// the two numbers w₀ + 2³² w₁ and w₂ + 2³² w₃, in this order.
///
/// *Source*: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11; bit-compatible with
/// Random123 (known answers in Fixtures/reference/philox-kat.json).
public struct Philox: RandomNumberGenerator, Sendable, Equatable {
  /// The seed.
  public let seed: UInt64
  /// The stream.
  public let stream: UInt64
  private var position: UInt64 = 0
  private var pending: UInt64 = 0

  /// The stream with the given number under the given seed, at its beginning.
  public init(seed: UInt64, stream: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
  }

  /// The next 64 bits.
  public mutating func next() -> UInt64 {
    defer { position &+= 1 }
    if position & 1 == 1 { return pending }
    let block = position >> 1
    let words = Self.block(
      counter: (
        UInt32(truncatingIfNeeded: block), UInt32(truncatingIfNeeded: block >> 32),
        UInt32(truncatingIfNeeded: stream), UInt32(truncatingIfNeeded: stream >> 32)
      ),
      key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    pending = UInt64(words.2) | UInt64(words.3) << 32
    return UInt64(words.0) | UInt64(words.1) << 32
  }

  /// One block of Philox4x32-10.
  static func block(
    counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var c = counter
    var k = key
    for round in 0..<10 {
      if round > 0 {
        k.0 &+= 0x9E37_79B9
        k.1 &+= 0xBB67_AE85
      }
      let a = UInt64(0xD251_1F53) * UInt64(c.0)
      let b = UInt64(0xCD9E_8D57) * UInt64(c.2)
      c = (
        UInt32(truncatingIfNeeded: b >> 32) ^ c.1 ^ k.0, UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: a >> 32) ^ c.3 ^ k.1, UInt32(truncatingIfNeeded: a)
      )
    }
    return c
  }
}

extension RandomNumberGenerator {
  /// A number from the open interval (0, 1): an odd multiple of 2⁻⁵³, never 0 and never 1.
  public mutating func nextOpenUnit() -> Double { Double((next() >> 12) << 1 | 1) * 0x1p-53 }
}
