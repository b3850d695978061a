import Dispatch
import Synchronization

/// `body` of every index, in order, on up to `threads` threads. Each thread takes the next index that is
/// left.
public func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, _ body: @Sendable (Int) -> Result
) -> [Result] {
  let workers = min(max(threads, 1), indices.count)
  guard workers > 1 else { return indices.map(body) }
  return [Result?](unsafeUninitializedCapacity: indices.count) { buffer, count in
    buffer.initialize(repeating: nil)
    nonisolated(unsafe) let slots = buffer
    let next = Atomic(0)
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
      while true {
        let slot = next.add(1, ordering: .relaxed).oldValue
        guard slot < slots.count else { return }
        slots[slot] = body(indices.lowerBound + slot)
      }
    }
    count = indices.count
  }.map { result in
    guard let result else { preconditionFailure("a parallel map left a slot empty") }
    return result
  }
}

/// The same, in waves of a few indices for each thread, between which the caller may call it off.
///
/// - Parameter continuing: told on the caller's thread, after every wave, how many indices are done; false ends the work.
/// - Returns: nil if it was called off before the last wave.
func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, continuing: (_ done: Int) -> Bool, _ body: @Sendable (Int) -> Result
) -> [Result]? {
  let size = 4 * max(threads, 1)
  var results: [Result] = []
  results.reserveCapacity(indices.count)
  for start in stride(from: indices.lowerBound, to: indices.upperBound, by: size) {
    let end = min(start + size, indices.upperBound)
    results += parallelMap(start..<end, threads: threads, body)
    guard end == indices.upperBound || continuing(end - indices.lowerBound) else { return nil }
  }
  return results
}
