// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import RouteGrad

/// A router that the caller answers for, line by line.
private final class CallerRouter: RouterTransport {
  let function: rg_router
  let context: UnsafeMutableRawPointer?
  /// Whether it returned NULL.
  private(set) var hasFailed = false
  /// Whether the caller interrupted.
  private(set) var wasInterrupted = false

  init(_ function: rg_router, context: UnsafeMutableRawPointer?) {
    self.function = function
    self.context = context
  }

  func exchange(_ line: String) throws(RouterFailure) -> [UInt8] {
    if let (asks, context) = ThreadState.current.interruption, asks(context) != 0 {
      wasInterrupted = true
      throw RouterFailure("interrupted")
    }
    let bytes = line.utf8.map { CChar(bitPattern: $0) }
    var length = 0
    guard let answer = function(context, bytes, bytes.count, &length) else {
      hasFailed = true
      throw RouterFailure("the router function failed")
    }
    guard length >= 0 else { throw RouterFailure("the router function: expected an answer's length, got \(length)") }
    return Array(UnsafeRawBufferPointer(start: answer, count: length))
  }
}

@c @implementation
public func rg_lint(
  _ router: rg_router?, _ context: UnsafeMutableRawPointer?, _ experts: Int, _ topK: Int, _ seed: UInt64,
  _ verdict: UnsafeMutablePointer<rg_verdict>?, _ report: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let caller = CallerRouter(try required(router, "router"), context: context)
    try RouterSpecification.expertsLimit.check("experts", experts)
    guard (0...experts).contains(topK) else { throw .argument("top_k: expected 0 to \(experts), got \(topK)") }
    let result: LintResult
    do throws(RouterFailure) {
      let greeting = RouterExchange.Greeting(experts: experts, topK: topK == 0 ? nil : topK, seed: seed)
      result = try RouterLint(seed: seed).run(on: try ExchangedRouter(caller, greeting: greeting))
    } catch {
      if caller.wasInterrupted { throw Failure(RG_INTERRUPTED, "interrupted") }
      throw Failure(caller.hasFailed ? RG_CALLBACK_FAILED : RG_INVALID_DATA, error.description)
    }
    verdict?.pointee = rg_verdict(result.verdict)
    guard let report else { return }
    let words = LintReport(result)
    report.pointee = handle(ReportHandle(text: words.text(style: .plain), json: words.json))
  }
}
