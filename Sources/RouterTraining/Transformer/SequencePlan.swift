/// How the rows of a batch are made up: sequences side by side, without padding, and the groups of them that are worked on
/// at a time.
///
/// Attention looks within a sequence only, so nothing that a padding mask would hide is computed in the first place: every sequence gives
/// what it gives alone. Groups depend on the batch and not on the number of threads, and neither does any result.
struct SequencePlan: Sendable {
  /// Some sequences one after the other, and their rows.
  struct Group: Sendable {
    var sequences: Range<Int>
    var rows: Range<Int>
    /// The rows of the memory (an encoder's output) that these sequences look at, and no others do.
    var memoryRows: Range<Int>
  }

  /// Where each sequence begins, and where the last one ends, `[sequences + 1]`.
  let starts: [Int]
  /// The rows of the memory that each sequence looks at, `[sequences]`; empty without a memory.
  let memory: [Range<Int>]
  /// Where each sequence's attention weights begin, in units of one head, `[sequences + 1]`.
  let ownPlaces, memoryPlaces: [Int]
  let groups: [Group]

  /// Rows that are worked on at a time: enough for fast matrix products, few enough for the nearest caches.
  static let groupRows = 128

  var rows: Int { starts[starts.count - 1] }
  var count: Int { starts.count - 1 }

  func range(_ sequence: Int) -> Range<Int> { starts[sequence]..<starts[sequence + 1] }

  /// Plans a batch.
  ///
  /// - Parameters:
  ///   - lengths: of the sequences.
  ///   - memory: the rows of the memory that each looks at, in order; sequences that look at the same rows follow one another.
  init(lengths: [Int], memory: [Range<Int>] = []) {
    precondition(memory.isEmpty || memory.count == lengths.count, "each sequence has its memory or none has")
    var (starts, own, other) = ([0], [0], [0])
    for (k, length) in lengths.enumerated() {
      starts.append(starts[k] + length)
      own.append(own[k] + length * length)
      other.append(other[k] + (memory.isEmpty ? 0 : length * memory[k].count))
    }
    // Sequences that share their memory stay together.
    let units = lengths.indices.filter { memory.isEmpty || $0 == 0 || memory[$0] != memory[$0 - 1] } + [lengths.count]
    var groups: [Group] = []
    var first = 0
    for (unit, next) in zip(units, units.dropFirst()) where next > unit {
      let rows = max(
        starts[next] - starts[first], memory.isEmpty ? 0 : memory[next - 1].upperBound - memory[first].lowerBound)
      if unit > first, rows > Self.groupRows { first = unit } else if unit > first { groups.removeLast() }
      let span = memory.isEmpty ? 0..<0 : memory[first].lowerBound..<memory[next - 1].upperBound
      groups.append(Group(sequences: first..<next, rows: starts[first]..<starts[next], memoryRows: span))
    }
    self.starts = starts
    self.memory = memory
    self.groups = groups
    ownPlaces = own
    memoryPlaces = other
  }

  /// The most groups that a batch of so many rows and rows of memory has: two neighbours are together more than a group's worth.
  static func mostGroups(rows: Int, memoryRows: Int) -> Int { 2 * (rows + memoryRows) / groupRows + 2 }
}
