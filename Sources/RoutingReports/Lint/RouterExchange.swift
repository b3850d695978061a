import FileFormats
import RouterSpecifications
import RoutingCore
import RoutingVerification

/// The exchange `routegrad.router/2`, and version 1 of it: a router in any language, driven by one JSON line after the other.
///
/// Both halves are here: ``ExchangedRouter`` asks, ``serve(_:readLine:write:)`` answers for a router written in Swift.
///
/// *Source*: docs/lint-protocol.md, which is a contract.
package enum RouterExchange {
  static let schemas = ["routegrad.router/1", "routegrad.router/2"]

  /// What a router is asked to be, in the first line.
  package struct Greeting: Sendable, Equatable {
    /// The number of experts.
    package var experts: Int
    /// The number of experts a token is sent to; nil leaves it to the router.
    package var topK: Int?
    /// A seed, for routers that make up weights of their own.
    package var seed: UInt64
    /// What the router is to be, and is held to; nil leaves it to the router.
    package var specification: RouterSpecification?

    /// A greeting.
    package init(
      experts: Int = 8, topK: Int? = nil, seed: UInt64 = 0, specification: RouterSpecification? = nil
    ) {
      self.experts = specification?.experts ?? experts
      self.topK = topK
      self.seed = seed
      self.specification = specification
    }
  }

  /// Answers for a router until there are no more calls.
  ///
  /// - Parameters:
  ///   - makeRouter: makes the router that the greeting asks for.
  ///   - readLine: the next line of standard input; nil at its end.
  ///   - write: takes a line to be written, its line feed included.
  /// - Throws: ``RouterFailure`` if a line cannot be read.
  package static func serve(
    _ makeRouter: (Greeting) throws(RouterFailure) -> any ForeignRouter, readLine: () -> String?,
    write: (String) -> Void
  ) throws(RouterFailure) {
    guard let line = readLine() else { throw RouterFailure("expected a greeting, got nothing") }
    let router = try makeRouter(try read(Array(line.utf8), "the greeting", Greeting.init(_:)))
    write(JSONWriter.line(router.profile.json) + "\n")
    while let line = readLine() {
      let (number, call) = try read(Array(line.utf8), "a call") { (value) throws(InvalidInput) in
        (try callNumber(value), try RouterCall(value))
      }
      write(JSONWriter.line(try router.route(call).json(number: number)) + "\n")
    }
  }

  /// What a line holds.
  static func read<Content>(
    _ bytes: [UInt8], _ what: String, _ decode: (JSONValue) throws(InvalidInput) -> Content
  ) throws(RouterFailure) -> Content {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONParser.parse(bytes)
    } catch {
      let line = String(decoding: bytes.prefix(60), as: UTF8.self)
      throw RouterFailure("\(what): \(error.inLine) in “\(line.clipped(to: 60))”")
    }
    do throws(InvalidInput) {
      return try decode(value)
    } catch {
      throw RouterFailure("\(what): \(error)")
    }
  }

  static func callNumber(_ value: JSONValue) throws(InvalidInput) -> Int {
    try JSONFields(value, of: "a call").integer("call")
  }
}

/// Carries one line to a router and its answer back.
package protocol RouterTransport {
  /// Sends a line, and waits for a line; both without line feeds.
  ///
  /// - Throws: ``RouterFailure`` if the line cannot be sent, or none comes back.
  func exchange(_ line: String) throws(RouterFailure) -> [UInt8]
}

/// A router at the other end of a transport.
package final class ExchangedRouter: ForeignRouter {
  package let profile: RouterProfile
  private let transport: any RouterTransport
  private var calls = 0

  /// Greets a router, and learns what it is.
  ///
  /// - Throws: ``RouterFailure`` if there is no answer, it cannot be read, or it is not what was asked for.
  package init(_ transport: any RouterTransport, greeting: RouterExchange.Greeting) throws(RouterFailure) {
    self.transport = transport
    let line = try transport.exchange(JSONWriter.line(greeting.json))
    profile = try RouterExchange.read(line, "the router's profile") { (value) throws(InvalidInput) in
      let profile = try RouterProfile(value, asked: greeting.specification)
      guard profile.experts == greeting.experts else {
        throw InvalidInput("experts", "expected \(greeting.experts), as asked for, got \(profile.experts)")
      }
      guard greeting.topK == nil || profile.topK == greeting.topK else {
        throw InvalidInput("topK", "expected \(greeting.topK ?? 0), as asked for, got \(profile.topK)")
      }
      return profile
    }
  }

  package func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer {
    calls += 1
    let number = calls
    let line = try transport.exchange(JSONWriter.line(call.json(number: number)))
    return try RouterExchange.read(line, "the answer") { (value) throws(InvalidInput) in
      let answered = try RouterExchange.callNumber(value)
      guard answered == number else { throw InvalidInput("call", "expected \(number), got \(answered)") }
      var answer = try RouterAnswer(value)
      // Null is said of what there is none of, too.
      if profile.specification.auxiliaryLosses.isEmpty { answer.auxiliaryLoss = nil }
      return answer
    }
  }
}
