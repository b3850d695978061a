import Dispatch
import Synchronization

/// Runs `body` of every index below `count` on up to `threads` threads, each taking the next index that is left. What an
/// index stands for does not depend on the number of threads, and so neither does any result.
package func concurrently(_ count: Int, threads: Int, _ body: (Int) -> Void) {
  let workers = min(threads, count, mostThreads)
  guard workers > 1 else {
    for index in 0..<count { body(index) }
    return
  }
  let next = Atomic(0)
  withoutActuallyEscaping(body) { body in
    nonisolated(unsafe) let body = body
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
      while true {
        let index = next.add(1, ordering: .relaxed).oldValue
        guard index < count else { return }
        body(index)
      }
    }
  }
}

/// More threads than this at once, and OpenBLAS has no room for them.
package let mostThreads = 64

/// The parts, of nearly equal size and at most `size`, in which `count` things are worked on.
package struct Parts {
  package let count: Int
  package let size: Int
  package let parts: Int

  package init(_ count: Int, of size: Int) {
    self.count = count
    self.size = size
    parts = (count + size - 1) / size
  }

  /// The range of part `k`.
  package func range(_ k: Int) -> Range<Int> { k * count / parts..<(k + 1) * count / parts }
}

/// `body` of every index, in order, on up to `threads` threads.
package func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, _ body: @Sendable (Int) -> Result
) -> [Result] {
  [Result](unsafeUninitializedCapacity: indices.count) { buffer, count in
    guard let results = buffer.baseAddress else { return }
    nonisolated(unsafe) let slots = results  // every index writes to one of its own
    concurrently(indices.count, threads: threads) { slot in
      (slots + slot).initialize(to: body(indices.lowerBound + slot))
    }
    count = indices.count
  }
}

/// The same, in waves of a few indices for each thread, between which the caller may call it off.
///
/// - Parameter continuing: told on the caller's thread, after every wave, how many indices are done; false ends the work.
/// - Returns: nil if it was called off.
package func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, continuing: (_ done: Int) -> Bool, _ body: @Sendable (Int) -> Result
) -> [Result]? {
  let size = 4 * max(threads, 1)
  var results: [Result] = []
  results.reserveCapacity(indices.count)
  for start in stride(from: indices.lowerBound, to: indices.upperBound, by: size) {
    let end = min(start + size, indices.upperBound)
    results += parallelMap(start..<end, threads: threads, body)
    guard continuing(end - indices.lowerBound) else { return nil }
  }
  return results
}

/// `body` of every index, in order, on up to `threads` threads, each of which may ask in the middle of its work whether to go on.
///
/// - Parameter continuing: asked from any thread, by one at a time; once it is false, it is asked no more.
/// - Returns: nil if it was called off.
package func parallelMap<Result: Sendable>(
  _ indices: Range<Int>, threads: Int, while continuing: () -> Bool,
  _ body: @Sendable (_ index: Int, _ continuing: @Sendable () -> Bool) -> Result
) -> [Result]? {
  let isOff = Atomic(false)
  let asking = Mutex(())
  return withoutActuallyEscaping(continuing) { continuing in
    nonisolated(unsafe) let continuing = continuing  // one thread at a time, and none after this call
    @Sendable func goesOn() -> Bool {
      asking.withLock { _ in
        if isOff.load(ordering: .relaxed) { return false }
        let answer = continuing()
        if !answer { isOff.store(true, ordering: .relaxed) }
        return answer
      }
    }
    let results = parallelMap(indices, threads: threads) { index in goesOn() ? body(index, goesOn) : nil }
    return isOff.load(ordering: .relaxed) ? nil : results.compactMap { $0 }
  }
}
