internal import CLinux
internal import Glibc

/// The program that a process runs, as a descriptor: what is executed through it is this very file, whatever its path has
/// come to mean.
public enum Executable {
    /// That of this process; nil where it cannot be found. Not close-on-exec. Call it before anybody changes the working
    /// directory: where /proc is not there it is found by the path that the process was started by.
    public static func openOwn() -> Int32? {
        var descriptor = open("/proc/self/exe", Int32(LIMPET_O_PATH))
        if descriptor < 0, let path = UnsafePointer<CChar>(bitPattern: UInt(getauxval(UInt(AT_EXECFN)))) {
            descriptor = open(path, Int32(LIMPET_O_PATH))
        }
        return descriptor < 0 ? nil : descriptor
    }
}
