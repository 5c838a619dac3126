//! The page: files that are a part of this program, and ask no other host for anything.

/// One of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is described in its row of the routes")]
pub(crate) enum Asset {
    Html,
    Style,
    Icon,
    App,
    Tree,
    Draw,
    Chart,
}

impl Asset {
    /// What it is, for a browser.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Asset::Html => "text/html; charset=utf-8",
            Asset::Style => "text/css; charset=utf-8",
            Asset::Icon => "image/svg+xml",
            Asset::App | Asset::Tree | Asset::Draw | Asset::Chart => {
                "text/javascript; charset=utf-8"
            }
        }
    }

    /// It.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Asset::Html => include_str!("../page/index.html"),
            Asset::Style => include_str!("../page/style.css"),
            Asset::Icon => include_str!("../page/icon.svg"),
            Asset::App => include_str!("../page/app.js"),
            Asset::Tree => include_str!("../page/tree.js"),
            Asset::Draw => include_str!("../page/draw.js"),
            Asset::Chart => include_str!("../page/chart.js"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Asset; 7] = [
        Asset::Html,
        Asset::Style,
        Asset::Icon,
        Asset::App,
        Asset::Tree,
        Asset::Draw,
        Asset::Chart,
    ];

    #[test]
    fn the_page_names_no_other_host_and_runs_nothing_that_stands_in_it() {
        for asset in ALL {
            let text = asset.text().replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{asset:?}");
            assert!(!text.contains("//cdn") && !text.contains("@import"), "{asset:?}");
        }
        let html = Asset::Html.text();
        for inline in ["<style", "style=", "onclick=", "onload=", "javascript:"] {
            assert!(!html.contains(inline), "{inline} is refused by the policy that goes with it");
        }
        assert!(
            !html
                .replace("<script type=\"module\" src=\"app.js\"></script>", "")
                .contains("<script")
        );
    }

    #[test]
    fn its_files_are_as_small_as_any_other() {
        for asset in ALL {
            let text = asset.text();
            assert!(text.lines().count() <= 500, "{asset:?}");
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{asset:?}: {line}");
            }
        }
    }
}
