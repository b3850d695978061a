import RouterSpecifications
import RoutingCore
import RoutingReports
import RoutingVerification
import Testing
import _PlantedRouters
import _TestSupport

/// Serves a router in this process, line by line.
private final class Loop: RouterTransport {
  private let answer: (String) -> String

  init(_ answer: @escaping (String) -> String) { self.answer = answer }

  /// A transport to a router that is served as another process would.
  convenience init(_ router: any ForeignRouter) {
    var profile: String?
    self.init { line in
      var lines = profile == nil ? [line] : [Self.greeting, line]
      var written: [String] = []
      do throws(RouterFailure) {
        try RouterExchange.serve(
          { (_) throws(RouterFailure) in router }, readLine: { lines.isEmpty ? nil : lines.removeFirst() },
          write: { written.append(String($0.dropLast())) })
      } catch {
        return "\(error)"
      }
      profile = profile ?? written[0]
      return written.last ?? ""
    }
  }

  static let greeting = #"{"schema": "routegrad.router/1", "experts": 8, "topK": null, "seed": "0"}"#

  func exchange(_ line: String) throws(RouterFailure) -> [UInt8] { Array(answer(line).utf8) }
}

struct RouterExchangeTests {
  @Test(arguments: PlantedRouter.families.map(\.name))
  func theBatteryFindsTheSameThroughTheExchange(name: String) throws {
    let profile = try #require(PlantedRouter.families.first { $0.name == name })
    let exchanged = try ExchangedRouter(Loop(ReferenceRouter(profile)), greeting: .init())
    #expect(exchanged.profile == ReferenceRouter(profile).profile)
    let direct = try RouterLint().run(on: ReferenceRouter(profile))
    #expect(try RouterLint().run(on: exchanged).findings == direct.findings)
  }

  @Test func whatIsNotFiniteSurvives() throws {
    let profile = RouterProfile(name: "x", experts: 2)
    var seen: RouterCall?
    let router = ClosureRouter(profile) { (call) throws(RouterFailure) in
      seen = call
      return RouterAnswer(choice: [[1]], multipliers: [[.nan]], gradient: [[.infinity, 1]], logitsAfter: call.logits)
    }
    let exchanged = try ExchangedRouter(Loop(router), greeting: .init(experts: 2))
    let call = RouterCall(
      mode: .eval, logits: [[-.infinity, 0.1]], expertOutputs: [[[1, 2], [3, 4]]], upstream: [[0.5, 0.25]],
      uniforms: [[]])
    let answer = try exchanged.route(call)
    #expect(seen == call)
    #expect(answer.multipliers[0][0].isNaN)
    #expect(answer.gradient?[0][0].isNaN == true)
    #expect(answer.gradient?[0][1] == 1)
    #expect(answer.logitsAfter == call.logits)
    #expect(answer.output == nil)
  }

  /// Profiles that cannot be, and what is said of them.
  @Test(arguments: [
    (#"{"name": "x", "experts": 8}"#, "topK: expected a number, the field is missing"),
    (#"{"name": "x", "experts": 8, "topK": 9}"#, "topK: expected a whole number from 1 to 8, got 9"),
    (#"{"name": "x", "experts": 8.5, "topK": 1}"#, "experts: expected a whole number, got 8.5"),
    (#"{"name": "x", "experts": 8, "topK": 1, "gates": "soft"}"#, "gates: expected one of"),
    (#"{"name": "x", "experts": 8, "topK": 1, "colour": 1}"#, "colour: expected no such field"),
    (
      #"{"name": "x", "experts": 8, "topK": 1, "jitter": {"on": "logits", "width": 0.1}}"#,
      "uniforms: expected at least 8"
    ),
    (#"{"name": "x", "experts": 8, "topK": 1, "jitter": {"on": "x", "width": 0.1}}"#, "jitter.on: expected"),
    (#"{"name": "x", "experts": 8, "topK": 1, "mask": {"rule": "paper"}}"#, "mask.threshold: expected a number"),
    (#"{"name": "x", "experts": 8, "topK": 3, "gates": "sequential"}"#, "topK: expected at most 2"),
    (#"{"name": "x", "experts": 8, "topK": 1, "capacity": 0}"#, "capacity: expected a whole number from 1 to 4096"),
    (#"{"name": "x", "experts": 8, "topK": 1, "outputScales": []}"#, "outputScales: expected one or more"),
    (#"{"name": "x", "experts": 8, "topK": 1, "uniforms": -1}"#, "uniforms: expected 0 to 65536"),
    (#"{"name": "x", "experts": 8, "topK": 1, "routesJointly": 1}"#, "routesJointly: expected true or false"),
    (#"{"name": "x", "experts": 8, "topK": 1"#, "expected"), ("", "expected a JSON object, got an empty text"),
  ])
  func profilesAreReadStrictly(line: String, words: String) throws {
    let error = #expect(throws: RouterFailure.self) {
      try ExchangedRouter(Loop { _ in line }, greeting: .init())
    }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("\n") == false)
  }

  /// Answers that cannot be, and what is said of them.
  @Test(arguments: [
    (#"{"call": 1, "choice": [0], "multipliers": [[1]], "gradient": [[0, 0]]}"#, "choice: expected a list of lists"),
    (
      #"{"call": 1, "choice": [[0.5]], "multipliers": [[1]], "gradient": [[0, 0]]}"#, "choice[0][0]: expected an expert"
    ),
    (
      #"{"call": 1, "choice": [[0]], "multipliers": [["1"]], "gradient": [[0, 0]]}"#,
      "multipliers[0][0]: expected a number"
    ),
    (
      #"{"call": 1, "choice": [[0]], "multipliers": [[1]], "gradient": [[0]]}"#,
      "gradient[0]: expected 2 entries, got 1"
    ),
    (#"{"call": 1, "choice": [[0]], "multipliers": [[1]]}"#, "gradient: expected in training mode"),
    (
      #"{"call": 1, "choice": [[0, 1, 0]], "multipliers": [[1, 1, 1]], "gradient": [[0, 0]]}"#,
      "choice[0]: expected at most 2"
    ),
    (#"{"call": 1, "choice": [[0]], "multipliers": [[1]], "gradient": [[0, 0]], "x": 1}"#, "x: expected no such field"),
    (#"{"call": 2, "choice": [[0]], "multipliers": [[1]], "gradient": [[0, 0]]}"#, "call: expected 1, got 2"),
    (#"{"call": 1, "choice": [[0]], "multipliers": [[1]], "gradient": [[0, 1e999]]}"#, "expected a finite number"),
  ])
  func answersAreReadStrictly(line: String, words: String) throws {
    var lines = [#"{"name": "x", "experts": 2, "topK": 1}"#, line]
    let router = try ExchangedRouter(Loop { _ in lines.removeFirst() }, greeting: .init(experts: 2))
    let error = #expect(throws: RouterFailure.self) { try RouterLint().run(on: router) }
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    #expect(error?.description.hasPrefix("repeatability, call 1: ") == true)
  }
}
