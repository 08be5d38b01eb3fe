import Glibc
import NIOCore
import NIOPosix

/// `limpet-fuzz PARSER [OPTION]... [CORPUS]...`: libFuzzer, given one of the parsers that read bytes from outside. `make fuzz`
/// builds it and runs it for each.
///
/// A parser that ends the process is found by libFuzzer, and one that reads past the end by AddressSanitizer. What the targets look
/// for beside that is written in them: that answers agree with each other, and that nobody may do what is not theirs.
@main
enum Fuzz {
    /// By the name on the command line, which is the name of the corpus, too.
    static let targets: [String: @Sendable (UnsafeRawBufferPointer) -> Void] = [
        "proxy": proxyHeader, "configuration": configurationFile, "flags": commandLine, "networks": networkFile,
        "texts": texts, "pattern": pattern, "checks": checkAnswers, "dns": nameAnswers, "state": stateFile,
        "document": sharedDocument, "canary": canaryAnswer, "control": controlClient, "web": webClient,
    ]

    /// The one that runs. Set before libFuzzer begins.
    nonisolated(unsafe) static var target: (UnsafeRawBufferPointer) -> Void = { _ in }

    static func main() {
        guard CommandLine.argc > 1, let chosen = targets[CommandLine.arguments[1]] else {
            print("usage: limpet-fuzz \(targets.keys.sorted().joined(separator: " | ")) [OPTION]... [CORPUS]...")
            exit(2)
        }
        target = chosen
        // What serves clients asks on which event loop it is.
        MultiThreadedEventLoopGroup.withCurrentThreadAsEventLoop { loop in
            loop.execute {
                // Without the parser's name, which libFuzzer would take for a corpus.
                let words = CommandLine.arguments.enumerated().filter { $0.offset != 1 }.map(\.element)
                var list: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = .allocate(capacity: words.count + 1)
                for (index, word) in words.enumerated() { list[index] = strdup(word) }
                list[words.count] = nil
                var count = CInt(words.count)
                exit(runDriver(&count, &list, one))
            }
        }
    }
}

@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

/// Exactly so many bytes, on the heap: one more would be noticed.
private func one(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 1)
    defer { copy.deallocate() }
    if count > 0 { copy.copyMemory(from: UnsafeRawBufferPointer(start: data, count: count)) }
    Fuzz.target(UnsafeRawBufferPointer(copy))
    return 0
}

func check(_ isTrue: Bool, _ what: @autoclosure () -> String) {
    if !isTrue { fatalError(what()) }
}

/// What people and logs are shown may not hold what a terminal obeys, nor a second line.
func checkLine(_ text: String, limit: Int = 4096) {
    check(text.utf8.count <= limit, "\(text.utf8.count) bytes are to be shown")
    check(!text.unicodeScalars.contains { $0.properties.generalCategory == .control }, text.debugDescription)
}
