//! A version that starts and never gets healthy.

fn main() -> std::io::Result<()> {
    demo::web::serve("v3", false)
}
