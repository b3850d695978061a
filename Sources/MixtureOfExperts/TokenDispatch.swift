/// Which slots go to which expert: the slots' positions in a list sorted by expert, within each expert first choices before
/// second ones and tokens in order.
///
/// With a capacity, what an expert cannot take is dropped: the slot is told that it has no expert, and counted.
struct TokenDispatch {
  /// Where each expert's slots begin, and where the last one's end, `[experts + 1]`.
  private(set) var starts: [Int]
  /// The token of each position.
  let tokens: UnsafeMutablePointer<Int32>
  /// The position of each slot, or −1.
  let positions: UnsafeMutablePointer<Int32>
  /// The number of slots that were dropped.
  private(set) var dropped = 0
  private var next: [Int]
  private let slots: Int

  /// Room for `tokens` tokens.
  init(tokens: Int, slots: Int, experts: Int) {
    starts = [Int](repeating: 0, count: experts + 1)
    next = starts
    self.slots = slots
    self.tokens = .allocate(capacity: max(tokens * slots, 1))
    positions = .allocate(capacity: max(tokens * slots, 1))
  }

  func deallocate() {
    tokens.deallocate()
    positions.deallocate()
  }

  /// The number of slots that have an expert.
  var count: Int { starts[starts.count - 1] }

  /// The positions of an expert's slots.
  func range(of expert: Int) -> Range<Int> { starts[expert]..<starts[expert + 1] }

  /// Sorts the slots of a batch.
  ///
  /// - Parameters:
  ///   - choices: the expert of each slot or −1, `[tokens, slots]`; dropped slots become −1.
  ///   - capacity: the most that an expert takes, or nil.
  mutating func sort(_ choices: UnsafeMutablePointer<Int32>, tokens count: Int, capacity: Int?) {
    let experts = starts.count - 1
    for i in 0...experts { next[i] = 0 }
    dropped = 0
    for s in 0..<slots {
      for t in 0..<count {
        let expert = Int(choices[t * slots + s])
        guard expert >= 0 else { continue }
        if let capacity, next[expert] >= capacity {
          choices[t * slots + s] = -1
          dropped += 1
        } else {
          next[expert] += 1
        }
      }
    }
    var sum = 0
    for i in 0..<experts {
      starts[i] = sum
      sum += next[i]
      next[i] = starts[i]
    }
    starts[experts] = sum
    for s in 0..<slots {
      for t in 0..<count {
        let expert = Int(choices[t * slots + s])
        guard expert >= 0 else {
          positions[t * slots + s] = -1
          continue
        }
        tokens[next[expert]] = Int32(t)
        positions[t * slots + s] = Int32(next[expert])
        next[expert] += 1
      }
    }
  }
}
