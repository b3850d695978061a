import ArgumentParser
import FileFormats
import Foundation
import RouteGrad

/// Routers that answer `lint` with what they should not.
enum RouterCases {
  static func make(_ damage: Damage, _ router: [String], _ dice: inout Dice) -> FuzzCase {
    var fuzzCase = FuzzCase(.router)
    fuzzCase += ["lint", "--timeout", "5", "--experts", dice.one(of: ["2", "3", "8"]), "--seed", "\(dice.below(100))"]
    if dice.percent(40) {
      fuzzCase += ["--format", "json"]
      fuzzCase.result = .json
    }
    fuzzCase += ["--"] + router + ["--damage", damage.rawValue]
    return fuzzCase
  }
}

/// The router of a case, a process of its own.
struct FuzzRouterCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz-router", abstract: "Answers as the router of one of fuzz's cases.", shouldDisplay: false)

  @Option var seed: UInt64 = 0
  @Option var `case` = 0
  @Option var damage = Damage.none

  func run() throws {
    var dice = Dice(seed: seed, stream: UInt64(`case`) | 1 << 63)
    // The profile is answer 0; one answer is changed, or all from there on.
    let first = dice.weighted([(25, 0), (25, 1), (50, dice.below(60))])
    let changesAll = dice.percent(30)
    let takesUniforms = dice.percent(40)
    var answers = 0
    do throws(RouterFailure) {
      try RouterExchange.serve(
        { SoftmaxRouter(experts: $0.experts, samples: takesUniforms) },
        readLine: { readLine() },
        write: { line in
          defer { answers += 1 }
          var bytes = Array(line.utf8)
          if answers == first || changesAll && answers > first { Self.change(&bytes, damage, &dice) }
          FileHandle.standardOutput.write(Data(bytes))
        })
    } catch {
      throw ExitCode(3)
    }
  }

  private static func change(_ line: inout [UInt8], _ damage: Damage, _ dice: inout Dice) {
    switch damage {
    case .broken:
      switch dice.below(6) {
      case 0: line += line
      case 1: line.insert(0x0A, at: dice.below(line.count))
      case 2: Foundation.exit(Int32(dice.below(3)))
      default: ByteMutation.apply(to: &line, &dice)
      }
      if line.last != 0x0A { line.append(0x0A) }
    case .none, .bent:
      guard let value = try? JSONParser.parse(line) else { return }
      var tree = FuzzTree(value)
      let numbers = ["multipliers", "gradient", "output", "logitsAfter", "outputScales", "gradientFactor"].filter {
        tree[$0] != nil
      }
      if damage == .none, !numbers.isEmpty {
        tree[dice.one(of: numbers)]?.mutate(&dice, keepsShape: true)
      } else {
        tree.mutate(&dice)
      }
      line = tree.bytes + [0x0A]
    }
  }
}

extension Damage: ExpressibleByArgument {}

/// A top-1 router with softmax gates, by the definitions.
private struct SoftmaxRouter: ForeignRouter {
  let profile: RouterProfile

  init(experts: Int, samples: Bool) {
    profile = RouterProfile(
      name: "softmax", experts: experts, uniforms: samples ? 1 : 0, gates: .softmax)
  }

  func route(_ call: RouterCall) throws(RouterFailure) -> RouterAnswer {
    var answer = RouterAnswer(choice: [], multipliers: [], gradient: [], output: [])
    for t in 0..<call.tokens {
      let logits = call.logits[t]
      let largest = logits.max() ?? 0
      let weights = logits.map { exp($0 - largest) }
      let total = weights.reduce(0, +)
      let probabilities = weights.map { $0 / total }
      var choice = logits.firstIndex(of: largest) ?? 0
      if profile.uniforms > 0, call.mode == .train {
        var left = call.uniforms[t][0]
        for (k, probability) in probabilities.enumerated() where probability > 0 {
          choice = k
          left -= probability
          if left < 0 { break }
        }
      }
      let output = call.expertOutputs[t][choice]
      let slope = zip(output, call.upstream[t]).reduce(0) { $0 + $1.0 * $1.1 }
      let gate = probabilities[choice]
      answer.choice.append([choice])
      answer.multipliers.append([gate])
      answer.gradient?.append(probabilities.indices.map { slope * gate * (($0 == choice ? 1 : 0) - probabilities[$0]) })
      answer.output?.append(output.map { gate * $0 })
    }
    answer.logitsAfter = call.logits
    return answer
  }
}
