import RoutingCore
import Synchronization
import Testing

struct ConcurrentlyTests {
  @Test(arguments: [1, 2, 5])
  func workThatIsNotCalledOffIsDone(threads: Int) {
    var questions = 0
    let squares = parallelMap(0..<40, threads: threads) {
      questions += 1
      return true
    } _: { index, continuing in
      continuing() ? index * index : -1
    }
    #expect(squares == (0..<40).map { $0 * $0 })
    // Before each and in the middle of each, by one at a time.
    #expect(questions == 80)
    #expect(
      parallelMap(0..<0, threads: threads) {
        false
      } _: { index, _ in
        index
      } == [])
  }

  /// After the first no there are no more questions, and nothing is begun that has not been.
  @Test(arguments: [1, 2, 5], [1, 2, 7, 80])
  func workIsCalledOffAnywhere(threads: Int, question: Int) {
    var questions = 0
    let begun = Atomic(0)
    let result = parallelMap(0..<40, threads: threads) {
      questions += 1
      return questions < question
    } _: { index, continuing in
      begun.add(1, ordering: .relaxed)
      return continuing() ? index : -1
    }
    #expect(result == nil && questions == question)
    #expect(begun.load(ordering: .relaxed) <= question)
  }
}
