//! Which kind of body a `Content-Type` announces.
//!
//! Deliberately absent: the decision whether that kind is welcome; see [`super::event::Shape`].

/// The kinds of body that webhooks come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// `application/json`, or any type that ends in `+json`; also no type at all.
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
    /// Anything else.
    Other,
}

impl Media {
    /// Reads a `Content-Type` value; parameters such as `charset` do not count.
    pub fn of(content_type: Option<&str>) -> Self {
        let Some(value) = content_type else { return Self::Json };
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::Form,
            "application/json" => Self::Json,
            other if other.starts_with("application/") && other.ends_with("+json") => Self::Json,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Media;

    #[test]
    fn parameters_and_case_do_not_count() {
        for (value, media) in [
            (Some("Application/JSON; charset=utf-8"), Media::Json),
            (Some("application/cloudevents+json"), Media::Json),
            (None, Media::Json),
            (Some("application/x-www-form-urlencoded;charset=UTF-8"), Media::Form),
            (Some("text/plain"), Media::Other),
            (Some("image/x+json"), Media::Other),
            (Some(""), Media::Other),
        ] {
            assert_eq!(Media::of(value), media, "{value:?}");
        }
    }
}
