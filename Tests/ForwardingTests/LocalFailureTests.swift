import Linux
import Testing

/// A lack of this machine is not counted against a backend.
@Suite struct LocalFailureTests {
    @Test(arguments: [Errno.tooManyFiles, .tooManyFilesInSystem, .noMemory, .noSpace, .addressNotAvailable])
    func isLocal(_ error: Errno) {
        #expect(error.isLocal)
    }

    @Test(arguments: [Errno.connectionRefused, .connectionReset, .timedOut, .hostUnreachable, .networkUnreachable])
    func isTheBackends(_ error: Errno) {
        #expect(!error.isLocal)
    }
}
