import ArgumentParser
import CStandardLibrary
import RouteGrad

struct LintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lint",
    abstract: "Hold a router in any language to a battery of deterministic checks.",
    discussion: """
      The command is started and driven over JSON lines on its standard input and output, with its random draws \
      forced; docs/lint-protocol.md describes the exchange, docs/examples has an adapter for PyTorch. With \
      --answers and --vectors nothing is started: answers to golden vectors are judged (docs/router-vectors.md).

      Exit status: 0 proved on all calls made, 1 refuted, 2 undecided, 65 an answer that cannot be read or none \
      at all, 66 a command that cannot be started.
      """)

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("The command that is the router, after '--', with its arguments.", valueName: "command"))
  var command: [String] = []

  @Option(
    name: .customLong("spec"),
    help: ArgumentHelp(
      "What the router is to be, and is held to: a router of the catalogue ('routegrad routers'), or a file with a specification.",
      valueName: "router"), completion: .list(Completion.specifications))
  var specification: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The number of experts, from 2 to 1024. (default: the specification's, else 8)", valueName: "n"))
  var experts: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The experts per token. (default: what the router says)", valueName: "k"))
  var topK: Int?

  @Option(
    help: ArgumentHelp(
      "Another router, as a shell command: are both the same function? The other checks are left out.",
      valueName: "command"))
  var sameAs: String?

  @Option(parsing: .unconditional, help: ArgumentHelp("The seed, from 0 to 2^64 - 1.", valueName: "n"))
  var seed: UInt64 = 0

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("The seconds that any one answer may take, above 0.", valueName: "s"))
  var timeout = 60.0

  @Option(
    help: ArgumentHelp(
      "Judge these answers to golden vectors (JSON lines; '-' is standard input) instead of starting a command.",
      valueName: "file"), completion: .file())
  var answers: String?

  @Option(
    help: ArgumentHelp("The vectors that --answers answers, of 'routegrad vectors'.", valueName: "file"),
    completion: .file())
  var vectors: String?

  @Option(help: "The format of the result.")
  var format: VerdictFormat = .text

  @OptionGroup var page: PageOption
  @OptionGroup var runOptions: RunOptions

  /// N where neither option nor specification says it.
  private static let standardExperts = 8

  func validate() throws {
    guard (answers == nil) == (vectors == nil) else {
      throw ValidationError("expected both --answers and --vectors, or neither")
    }
    if answers != nil {
      guard command.isEmpty else { throw ValidationError("expected no command with --answers, got '\(command[0])'") }
      guard answers != "-" || vectors != "-" else {
        throw ValidationError("standard input ('-') can be read only once")
      }
      return
    }
    guard !command.isEmpty, command[0] != "" else {
      throw ValidationError("expected a command after '--', as in 'routegrad lint -- python3 router.py'")
    }
    let count = experts ?? Self.standardExperts
    try RouterSpecification.expertsLimit.validate("--experts", count)
    if let topK {
      guard specification == nil else { throw ValidationError("'--top-k': expected none with --spec, which says it") }
      guard (1...count).contains(topK) else { throw ValidationError("'--top-k': expected 1 to \(count), got \(topK)") }
    }
    if sameAs == "" { throw ValidationError("'--same-as': expected a command, got none") }
    guard timeout > 0, timeout <= 1e6 else {
      throw ValidationError("'--timeout': expected a number above 0 and up to 1000000, got \(timeout)")
    }
  }

  func run() throws {
    if let answers, let vectors { try judge(answers, vectors) }
    let pageFile = try page.begin()
    let result = try lint()
    let report = LintReport(result)
    try pageFile?.finish(report.page.text)
    switch format {
    case .text: try Output.standard.write(report.text(style: Terminal.style))
    case .json: try Output.standard.write(report.json)
    }
    CStandardLibrary.exit(ExitStatus(result.verdict).rawValue)
  }

  /// Judges answers to golden vectors, and ends the program with the verdict.
  private func judge(_ answers: String, _ vectors: String) throws -> Never {
    let file = try VectorFile(Input.bytes(of: vectors), file: Input.name(of: vectors))
    let pageFile = try page.begin()
    let found = try file.answers(Input.bytes(of: answers), file: Input.name(of: answers))
    let result = AnswersVerdict(
      of: found, to: file.vectors, of: file.specification, tolerance: file.tolerance)
    let report = AnswersReport(result)
    try pageFile?.finish(report.page.text)
    switch format {
    case .text: try Output.standard.write(report.text(style: Terminal.style))
    case .json: try Output.standard.write(report.json)
    }
    CStandardLibrary.exit(ExitStatus(result.verdict).rawValue)
  }

  private func lint() throws -> LintResult {
    let greeting = RouterExchange.Greeting(
      experts: experts ?? Self.standardExperts, topK: topK, seed: seed,
      specification: try specification.map { try RouterArgument.specification($0, experts: experts) })
    let child = try ChildProcess(command, timeout: timeout)
    var hasAnswered = false
    defer { child.stop(hasAnswered: hasAnswered) }
    let other = try sameAs.map { try ChildProcess(["sh", "-c", $0], timeout: timeout) }
    defer { other?.stop(hasAnswered: hasAnswered) }
    let progress = ProgressLine(isShown: !runOptions.quiet)
    defer { progress.clear() }
    let router = try greet(child, greeting, command[0])
    let second = try other.map { try greet($0, greeting, sameAs ?? "") }
    do throws(RouterFailure) {
      let lint = RouterLint(seed: seed, checks: second == nil ? LintCheck.battery : [.sameAs])
      let result = try lint.run(on: router, sameAs: second) { check in
        progress.show(check.rawValue)
      }
      hasAnswered = true
      return result
    } catch {
      throw Refusal(.wrongData, "\(command[0]): \(error)")
    }
  }

  /// The router at the other end; what is wrong with its profile is named as the command's.
  private func greet(
    _ child: ChildProcess, _ greeting: RouterExchange.Greeting, _ name: String
  ) throws -> ExchangedRouter {
    do throws(RouterFailure) {
      return try ExchangedRouter(child, greeting: greeting)
    } catch {
      throw Refusal(.wrongData, "\(name): \(error)")
    }
  }
}
