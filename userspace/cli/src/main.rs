//! The `ferrite` command.

fn main() {
    eprintln!("ferrite: no command is implemented yet");
    std::process::exit(2);
}
