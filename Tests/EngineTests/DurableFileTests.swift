import Foundation
import Linux
import Testing

@Suite struct DurableFileTests {
    private func inDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("limpet-\(UUID().uuidString)")
            .path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try body(directory)
    }

    @Test func whatIsReplacedIsReadAndOursAlone() throws {
        try inDirectory { directory in
            let path = directory + "/file"
            #expect(try DurableFile.read(path, limit: 10) == nil)
            #expect(DurableFile.replace(path, with: [1, 2, 3]) == nil)
            #expect(try DurableFile.read(path, limit: 3) == [1, 2, 3])
            chmod(path, 0o666)
            #expect(DurableFile.replace(path, with: []) == nil)
            #expect(try DurableFile.read(path, limit: 0) == [])
            let entry = try PathEntry.look(at: path).get()
            #expect(entry.permissions == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["file"])
        }
    }

    @Test func whatIsTooLargeOrNoFileIsRefused() throws {
        try inDirectory { directory in
            let path = directory + "/file"
            #expect(DurableFile.replace(path, with: [UInt8](repeating: 7, count: 200_000)) == nil)
            #expect(try DurableFile.read(path, limit: 200_000)?.count == 200_000)
            let error = #expect(throws: SystemError.self) { try DurableFile.read(path, limit: 199_999) }
            #expect(error?.errno == .fileTooLarge)
            try FileManager.default.createSymbolicLink(atPath: directory + "/link", withDestinationPath: path)
            mkfifo(directory + "/pipe", 0o600)
            for name in ["link", "pipe", ""] {
                #expect(throws: SystemError.self, "\(name)") {
                    try DurableFile.read(directory + "/" + name, limit: 1_000_000)
                }
            }
        }
    }

    @Test func whatADeathHasLeftIsInNobodysWay() throws {
        try inDirectory { directory in
            let path = directory + "/file"
            try Data([9, 9, 9, 9]).write(to: URL(fileURLWithPath: path + ".new"))
            #expect(DurableFile.replace(path, with: [1]) == nil)
            #expect(try DurableFile.read(path, limit: 10) == [1])
            // Nor is what another has put there written through.
            try FileManager.default.createSymbolicLink(
                atPath: path + ".new", withDestinationPath: directory + "/other")
            #expect(DurableFile.replace(path, with: [2]) == nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["file"])
        }
    }

    @Test func aFailureNamesThePlaceAndLeavesTheOldContent() throws {
        try inDirectory { directory in
            let missing = try #require(DurableFile.replace(directory + "/none/file", with: [1]))
            #expect(missing.errno == .noSuchFile && "\(missing)".contains(directory + "/none/file.new"))
            // A directory cannot be replaced by a file.
            try FileManager.default.createDirectory(atPath: directory + "/taken", withIntermediateDirectories: true)
            let taken = try #require(DurableFile.replace(directory + "/taken", with: [1]))
            #expect("\(taken)".contains("cannot replace \(directory)/taken: "))
        }
    }
}
