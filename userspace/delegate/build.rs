//! Link options of the shared library.

fn main() {
    // Threads of the pool live as long as the process: their code must stay mapped when a host closes
    // the library.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // A name that hosts and packages can refer to.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libferrite_delegate.so");
    println!("cargo:rerun-if-changed=build.rs");
}
