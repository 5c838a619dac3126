//! Version 1 of the small web server.

fn main() -> std::io::Result<()> {
    demo::web::serve("v1", true)
}
