import CBLASLoader
import Synchronization
import Testing

#if canImport(Glibc)
  import Glibc

  /// Where a signal's handler found its stack: what it may touch are numbers in memory that is there from the start.
  private enum Handler {
    nonisolated(unsafe) static var stack: Range<UInt> = 0..<0
    nonisolated(unsafe) static var calls = 0
    nonisolated(unsafe) static var callsElsewhere = 0

    static func install(stack: UnsafeMutableRawBufferPointer) {
      let start = UInt(bitPattern: stack.baseAddress)
      self.stack = start..<start + UInt(stack.count)
      (calls, callsElsewhere) = (0, 0)
      var action = sigaction()
      action.sa_flags = SA_SIGINFO | SA_RESTART
      // The kernel writes what it says of a signal on the stack that the handler runs on.
      action.__sigaction_handler.sa_sigaction = { _, frame, _ in
        Handler.calls += 1
        if !Handler.stack.contains(UInt(bitPattern: frame)) { Handler.callsElsewhere += 1 }
      }
      sigaction(SIGUSR1, &action, nil)
    }
  }

  /// A product, deep enough for kernels to use a buffer or just not so deep that it is on the heap, made many times.
  struct RepeatedProduct: CustomTestStringConvertible, Sendable {
    var isTransposedA, isTransposedB: Bool
    var isDouble: Bool
    var depth: Int

    var testDescription: String { "\(isDouble ? "Double" : "Float"), \(depth), \(isTransposedA), \(isTransposedB)" }

    static let all = [(false, 64), (false, 65), (false, 2500), (true, 2500)].flatMap { isDouble, depth in
      [(false, false), (false, true), (true, false), (true, true)].map {
        RepeatedProduct(isTransposedA: $0, isTransposedB: $1, isDouble: isDouble, depth: depth)
      }
    }

    func run() {
      let (m, n, k) = (128, 96, depth)
      let (a, b) = ([Float](repeating: 1, count: m * k), [Float](repeating: 1, count: n * k))
      var c = [Float](repeating: 0, count: m * n)
      let (wideA, wideB) = (a.map(Double.init), b.map(Double.init))
      var wideC = c.map(Double.init)
      let (ta, tb): (Int32, Int32) = (isTransposedA ? 1 : 0, isTransposedB ? 1 : 0)
      let (lda, ldb) = (Int32(isTransposedA ? m : k), Int32(isTransposedB ? k : n))
      for _ in 0..<150_000 / k {
        if isDouble {
          rg_dgemm(ta, tb, Int32(m), Int32(n), Int32(k), 1, wideA, lda, wideB, ldb, 0, &wideC, Int32(n))
        } else {
          rg_sgemm(ta, tb, Int32(m), Int32(n), Int32(k), 1, a, lda, b, ldb, 0, &c, Int32(n))
        }
      }
    }
  }

  @Suite(.serialized) struct SignalTests {
    /// oneDNN's deep products move the stack pointer into the heap, where a handler's frame would break what lies there.
    @Test("signals' handlers run on their thread's stack, whatever is being multiplied", arguments: RepeatedProduct.all)
    func stack(_ product: RepeatedProduct) {
      let stack = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 22, alignment: 1 << 16)
      defer { stack.deallocate() }
      Handler.install(stack: stack)
      defer { signal(SIGUSR1, SIG_DFL) }
      var attributes = pthread_attr_t()
      pthread_attr_init(&attributes)
      defer { pthread_attr_destroy(&attributes) }
      pthread_attr_setstack(&attributes, stack.baseAddress, stack.count)
      let work = Work(product)
      var thread = pthread_t()
      let failure = pthread_create(
        &thread, &attributes,
        { argument in
          if let argument { Unmanaged<Work>.fromOpaque(argument).takeUnretainedValue().run() }
          return nil
        }, Unmanaged.passUnretained(work).toOpaque())
      guard failure == 0 else {
        Issue.record("no thread: \(failure)")
        return
      }
      while !work.isDone {
        pthread_kill(thread, SIGUSR1)
        usleep(50)
      }
      pthread_join(thread, nil)
      #expect(Handler.calls > 0)
      #expect(Handler.callsElsewhere == 0, "of \(Handler.calls)")
    }
  }

  /// What a thread does.
  private final class Work: Sendable {
    private let product: RepeatedProduct
    private let end = Atomic(false)
    var isDone: Bool { end.load(ordering: .acquiring) }

    init(_ product: RepeatedProduct) { self.product = product }

    func run() {
      // Threads of libdispatch, which tests run on, hand their mask on.
      var mask = sigset_t()
      sigemptyset(&mask)
      sigaddset(&mask, SIGUSR1)
      pthread_sigmask(SIG_UNBLOCK, &mask, nil)
      product.run()
      end.store(true, ordering: .releasing)
    }
  }
#endif
