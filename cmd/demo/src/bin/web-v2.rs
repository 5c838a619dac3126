//! Version 2 of the small web server.

fn main() -> std::io::Result<()> {
    demo::web::serve("v2", true)
}
