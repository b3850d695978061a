import CStandardLibrary
import Foundation
import Testing

struct FileErrorTests {
  @Test func inputsThatCannotBeOpened() throws {
    try Folder.temporary { folder in
      for command in [["report"], ["order"], ["outcomes", "--estimator", "exact"]] {
        expectRefusal(
          try Tool.run(command + ["missing.json"], in: folder), status: 66, "missing.json: ", "No such file")
        expectRefusal(try Tool.run(command + [folder.path], in: folder), status: 66, "Is a directory")
      }
      expectRefusal(
        try Tool.run(["report", "we\nird\u{1B}.json"], in: folder), status: 66, #"we\nird\u{1B}.json: "#)
    }
  }

  @Test func namesThatLookOdd() throws {
    try Folder.temporary { folder in
      for name in ["a b.json", "-x.json", "ü😀.json", "line\nfeed.json"] {
        try Data(Samples.mixture.utf8).write(to: folder.appending(path: name))
        let run = try Tool.run(["report", "--format", "csv", "--", name], in: folder)
        #expect(run.status == 0, "\(run.error)")
        #expect(run.output.contains("sample"))
      }
    }
  }

  @Test func outputsThatCannotBeWritten() throws {
    try Folder.temporary { folder in
      try Data(Samples.mixture.utf8).write(to: folder.appending(path: "in.json"))
      for command in ["report", "order"] {
        for (output, reason) in [
          ("no/such/file", "No such file"), (".", "Is a directory"), ("/dev/full", "No space left"),
          ("in.json/x", "Not a directory"), ("", "No such file"),
        ] {
          let run = try Tool.run([command, "in.json", "--output", output], in: folder)
          #expect(run.error.contains("routegrad: \(output.isEmpty ? "''" : output): cannot be written"))
          expectRefusal(run, status: 73, "cannot be written", reason)
        }
      }
      #expect(try Folder.names(in: folder) == ["in.json"])
    }
  }

  @Test func standardOutputThatIsFull() throws {
    for arguments in [
      ["report", Samples.shipped("reinmax-polynomial.json")], ["estimators"], ["--help"],
      ["outcomes", Samples.shipped("categorical-8.json"), "--estimator", "reinmax"],
    ] {
      try Folder.temporary { folder in
        let error = folder.appending(path: "error")
        try Data().write(to: error)
        let process = try Tool.start(arguments, output: .file("/dev/full"), error: .file(error.path))
        #expect(try Tool.wait(for: process) == 73)
        #expect(
          try String(contentsOf: error, encoding: .utf8)
            == "routegrad: standard output: cannot be written: No space left on device\n")
      }
    }
  }

  @Test func outputIsWrittenWholeAndReplacesWhatWasThere() throws {
    try Folder.temporary { folder in
      let file = folder.appending(path: "out.csv")
      try Data("old".utf8).write(to: file)
      try FileManager.default.createSymbolicLink(
        at: folder.appending(path: "link"), withDestinationURL: file)
      let arguments = ["report", Samples.shipped("categorical-8.json"), "--format", "csv"]
      let direct = try Tool.run(arguments)
      let run = try Tool.run(arguments + ["--output", "link"], in: folder)
      #expect(run.status == 0)
      #expect(run.output == "")
      #expect(try String(contentsOf: file, encoding: .utf8) == direct.output)
      #expect(try Folder.names(in: folder) == ["link", "out.csv"])
      #expect(try Tool.run(arguments + ["--output", "/dev/null"]).status == 0)
      // A failure leaves what was there.
      expectRefusal(
        try Tool.run(["report", "-", "--output", "out.csv"], input: "[", in: folder), status: 65, "[0]")
      #expect(try String(contentsOf: file, encoding: .utf8) == direct.output)
      #expect(try Folder.names(in: folder) == ["link", "out.csv"])
    }
  }

  @Test func anInterruptedRunLeavesNothing() throws {
    try Folder.temporary { folder in
      let process = try Tool.start(
        ["report", "--method", "monte-carlo", "--samples", "1000000000", "--output", "out.json"],
        output: .file("/dev/null"), error: .file("/dev/null"), in: folder)
      // The unfinished file is there as soon as the problems are read.
      for _ in 0..<1000 where try Folder.names(in: folder).isEmpty { usleep(10_000) }
      #expect(try Folder.names(in: folder).count == 1)
      kill(process, SIGINT)
      #expect(try Tool.wait(for: process) == 130)
      #expect(try Folder.names(in: folder) == [])
    }
  }

  @Test func aClosedPipeIsNoCrash() throws {
    try Folder.temporary { folder in
      let error = folder.appending(path: "error")
      try Data().write(to: error)
      var ends: [Int32] = [0, 0]
      try #require(pipe(&ends) == 0)
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      close(ends[0])
      let process = try Tool.start(["report"], output: .descriptor(ends[1]), error: .file(error.path))
      close(ends[1])
      #expect(try Tool.wait(for: process) == 128 + SIGPIPE)
      #expect(try String(contentsOf: error, encoding: .utf8) == "")
    }
  }
}
