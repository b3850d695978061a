import CStandardLibrary

/// A dense matrix in memory of its own, row-major and aligned to cache lines: the parameters, gradients and buffers of
/// layers.
///
/// It is a reference, so that parameters can be shared by a layer and its optimiser, and it hands out its memory: whoever
/// runs layers on several threads sees to it that no two of them write to one tensor at once.
package final class Tensor<Scalar: LayerScalar>: @unchecked Sendable {
  /// The number of rows.
  package let rows: Int
  /// The number of columns.
  package let columns: Int
  /// The entries, row by row.
  package let elements: UnsafeMutablePointer<Scalar>

  /// What was allocated; the entries begin at the first cache line in it.
  private let memory: UnsafeMutableRawPointer

  private static var alignment: Int { 64 }

  /// A tensor of zeros.
  package init(rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0, "a tensor has no negative extent, got \(rows)×\(columns)")
    self.rows = rows
    self.columns = columns
    let bytes = max(rows * columns, 1) * MemoryLayout<Scalar>.stride
    // All bits of 0 are 0. Of much memory the system gives zeros that nobody has to write; it is first touched by who fills it.
    guard let memory = calloc(bytes + Self.alignment, 1) else {
      preconditionFailure("no memory for \(rows)×\(columns)")
    }
    self.memory = memory
    #if os(Linux)
      // Weights of gigabytes are first touched, and looked up, by pages of 2 MB where the system has them.
      if bytes >= 1 << 25 {
        let start = memory.alignedUp(toMultipleOf: Int(getpagesize()))
        _ = madvise(start, bytes - (start - memory), MADV_HUGEPAGE)
      }
    #endif
    elements = memory.alignedUp(toMultipleOf: Self.alignment).bindMemory(
      to: Scalar.self, capacity: max(rows * columns, 1))
  }

  /// A tensor of the entries given, row by row.
  package convenience init(rows: Int, columns: Int, _ values: some Collection<Scalar>) {
    precondition(values.count == rows * columns, "\(values.count) entries are not \(rows)×\(columns)")
    self.init(rows: rows, columns: columns)
    _ = UnsafeMutableBufferPointer(start: elements, count: count).update(fromContentsOf: values)
  }

  deinit { free(memory) }

  /// The number of entries.
  package var count: Int { rows * columns }

  /// The entry in row `i` and column `j`.
  package subscript(i: Int, j: Int) -> Scalar {
    get { elements[i * columns + j] }
    set { elements[i * columns + j] = newValue }
  }

  /// Where row `i` begins.
  package func row(_ i: Int) -> UnsafeMutablePointer<Scalar> { elements + i * columns }

  /// All entries, row by row.
  package var values: [Scalar] { Array(UnsafeBufferPointer(start: elements, count: count)) }

  /// Makes every entry zero.
  package func clear() { elements.update(repeating: 0, count: count) }

  /// The same entries in another tensor, of another precision if asked for.
  package func copy<Other: LayerScalar>(as type: Other.Type = Scalar.self) -> Tensor<Other> {
    let copy = Tensor<Other>(rows: rows, columns: columns)
    for i in 0..<count { copy.elements[i] = Other(elements[i]) }
    return copy
  }
}
