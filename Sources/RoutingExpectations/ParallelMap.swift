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
