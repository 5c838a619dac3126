# Short names for the lines that README names.
PREFIX=/usr/local

all:V:
	cargo build --release

test:V:
	tests/run

check:V:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

demo:V:
	cargo demo

man:V:
	target/release/deploy help
	target/release/deployfs help

install:V: all
	install -D -m 755 target/release/deploy $PREFIX/bin/deploy
	install -D -m 755 target/release/deployfs $PREFIX/bin/deployfs

nuke:V:
	cargo clean
