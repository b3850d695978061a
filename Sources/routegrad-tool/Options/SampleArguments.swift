import ArgumentParser
import RouteGrad

/// Samples that another program made, and the problem that they are about.
struct SampleArguments: ParsableArguments {
  @Argument(help: "A file of samples or outcomes; '-' is standard input.", completion: .file())
  var samples: String

  @Option(
    help: ArgumentHelp("The file of the problem that the samples are about.", valueName: "file"),
    completion: .file(extensions: ["json"]))
  var problem: String

  @Option(help: ArgumentHelp("The problem's name, if the file holds several.", valueName: "name"))
  var problemName: String?

  func validate() throws {
    if samples == "-", problem == "-" { throw ValidationError("standard input ('-') can be read only once") }
  }

  /// What the samples are called.
  var name: String { Input.name(of: samples) }

  /// The problem.
  ///
  /// - Throws: `Refusal` as reading problems does, and if the file holds several and none is named.
  func filed() throws -> FiledProblem {
    try Input.problem(in: problem, named: problemName, option: "--problem-name")
  }

  /// The samples, as a stream.
  ///
  /// - Throws: `Refusal` if they cannot be opened, or do not begin as samples do.
  func stream(coordinates: Int) throws(Refusal) -> SampleStream {
    try Input.samples(in: samples, coordinates: coordinates)
  }
}
