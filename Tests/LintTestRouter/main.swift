// A router for the tests of `routegrad lint`: a planted router by name, or one that misbehaves.
//
//   lint-test-router FAMILY [FLAW]
//   lint-test-router specified [MISTAKE]    what it is asked to be, of version 2
//   lint-test-router hang | die | silent-exit | flood | endless-line | garbage | nan | short | wrong-call | close-input

import CStandardLibrary
import RouteGrad
import _PlantedRouters

func say(_ text: String) {
  var text = text
  text.withUTF8 { _ = write(STDOUT_FILENO, $0.baseAddress, $0.count) }
}

let arguments = CommandLine.arguments
let kind = arguments.count > 1 ? arguments[1] : "switch"
let profile = PlantedRouter.families.first { $0.name == kind }
let flaw = arguments.count > 2 ? Flaw(rawValue: arguments[2]) : nil

switch kind {
case "hang": while true { sleep(1000) }
case "die":
  var words = "Traceback (most recent call last):\nValueError: no such expert\n"
  words.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress, $0.count) }
  exit(3)
case "silent-exit": exit(0)
case "flood": while true { say("{}\n") }
case "endless-line": while true { say(String(repeating: "x", count: 1 << 16)) }
case "close-input":
  close(STDIN_FILENO)
  sleep(1000)
default: break
}

var calls = 0
do {
  try RouterExchange.serve(
    { (greeting) throws(RouterFailure) in
      if kind == "specified", let specification = greeting.specification {
        return SpecifiedRouter(
          of: specification, mistake: arguments.count > 2 ? RouterMistake(rawValue: arguments[2]) : nil)
      }
      return ReferenceRouter(profile ?? PlantedRouter.families[0], flaws: flaw.map { [$0] } ?? [])
    },
    readLine: { readLine() },
    write: { line in
      calls += 1
      guard calls > 2 else { return say(line) }
      switch kind {
      case "garbage": say("Loading weights…\n")
      case "nan": say(#"{"call": 2, "choice": [[0]], "multipliers": [[NaN]], "gradient": [[0]]}"# + "\n")
      case "short": say(#"{"call": 2, "choice": [[0]], "multipliers": [[0.5]], "gradient": [[0]]}"# + "\n")
      case "wrong-call": say(#"{"call": 1, "choice": [[0]], "multipliers": [[0.5]], "gradient": [[0]]}"# + "\n")
      case "hang-later": while true { sleep(1000) }
      default: say(line)
      }
    })
} catch {
  say("\(error)\n")
  exit(1)
}
