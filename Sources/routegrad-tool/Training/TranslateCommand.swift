import ArgumentParser
import RouteGrad
import RouteGradTraining

struct TranslateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "translate",
    abstract: "Translate standard input, line by line, with a model that 'train translation' has trained.",
    discussion: """
      The input is divided into words as the training files were ('@@' and all); the output is joined at '@@'. Lines \
      come in the order of the input; an empty line stays empty, one that is longer than the model's context is cut \
      off there, and counted on standard error.
      """)

  @Argument(help: ArgumentHelp("The run's folder, or one of its checkpoints.", valueName: "run"), completion: .file())
  var folder: String

  @Option(help: ArgumentHelp("Read this file instead of standard input.", valueName: "file"), completion: .file())
  var input = "-"

  @Option(
    help: ArgumentHelp(
      "Say on standard error what BLEU the output has against this file's lines, joined at '@@'.", valueName: "file"),
    completion: .file())
  var reference: String?

  @Option(help: "How BLEU takes sentences apart, in sacrebleu's words.")
  var tokenize = BLEU.Tokenizer.mteval13a

  @OptionGroup var beamOptions: BeamArguments
  @OptionGroup var runOptions: RunOptions

  func run() throws {
    let model = try TranslationSettings.trained(folder)
    let text = try lines(input)
    let references = try reference.map { try lines($0) }
    if let references {
      do throws(InvalidInput) {
        try TextLines.requireParallel(text, references)
      } catch {
        throw Failure(.wrongData, "\(error)")
      }
    }
    let result = try model.translate(text, beamOptions.options, threads: runOptions.threadCount)
    try Output.standard.write(result.lines.map { $0 + "\n" }.joined())
    if !runOptions.quiet, result.cut + result.unknown > 0 {
      Terminal.complain("routegrad: \(result.cut) lines cut off at the context, \(result.unknown) unknown words")
    }
    if let references {
      let bleu = BLEU(
        hypotheses: result.lines, references: (0..<references.count).map { Vocabulary.joined(references[$0]) },
        tokenizer: tokenize)
      Terminal.complain("BLEU = \(bleu.text)")
    }
  }

  private func lines(_ path: String) throws(Failure) -> TextLines {
    let bytes = try Input.bytes(of: path)
    do throws(InvalidInput) {
      return try TextLines(bytes, name: Input.name(of: path))
    } catch {
      throw Failure(.wrongData, "\(error)")
    }
  }
}

extension BLEU.Tokenizer: ExpressibleByArgument {}
