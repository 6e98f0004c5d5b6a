//! Lists: filters, order and pages.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::resource::{Kind, shown};

const DEFAULT_LIMIT: usize = 100;
const LARGEST_LIMIT: usize = 3_000;
/// What can be filtered by. Anything else is ignored without a word, as in Cattle.
const FILTERS: [&str; 7] = [
    "name",
    "state",
    "kind",
    "stackId",
    "key",
    "healthState",
    "system",
];

/// The page of `resources` that `query` asks for; it begins `shift` rows too early (too late below 0) unless it is the first.
pub(crate) fn page<'a>(
    kind: Kind,
    resources: impl Iterator<Item = &'a Value>,
    query: &HashMap<String, String>,
    base: &str,
    shift: i32,
) -> Value {
    let mut fitting: Vec<_> = resources
        .filter(|resource| resource["removed"].is_null() && fits(resource, query))
        .collect();
    if let Some(column) = query
        .get("sort")
        .filter(|column| matches!(column.as_str(), "name" | "state" | "created"))
    {
        fitting.sort_by_key(|resource| resource[column].to_string());
    }
    if query.get("order").is_some_and(|order| order == "desc") {
        fitting.reverse();
    }
    let limit = match query.get("limit").map(|limit| limit.parse::<i64>()) {
        Some(Ok(limit)) if limit <= 0 => LARGEST_LIMIT,
        Some(Ok(limit)) => usize::try_from(limit)
            .unwrap_or(LARGEST_LIMIT)
            .min(LARGEST_LIMIT),
        _ => DEFAULT_LIMIT,
    };
    let marker = query
        .get("marker")
        .and_then(|marker| marker.strip_prefix('m')?.parse().ok());
    // Each page leads on, however far it is shifted.
    let by = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let start = match marker {
        None => 0,
        Some(marker) if shift < 0 => by.saturating_add(marker),
        Some(marker) => usize::saturating_sub(marker, by.min(limit.saturating_sub(1))),
    };
    let start = start.min(fitting.len());
    let end = start.saturating_add(limit).min(fitting.len());
    let own = format!("{base}/{}", kind.plural());
    let next = (end < fitting.len()).then(|| format!("{own}?limit={limit}&marker=m{end}"));
    let data: Vec<_> = fitting
        .iter()
        .take(end)
        .skip(start)
        .map(|resource| shown(kind, resource, base))
        .collect();
    json!({
        "type": "collection",
        "resourceType": kind.default_type(),
        "links": {"self": own},
        "data": data,
        "pagination": {"limit": limit, "partial": next.is_some(), "next": next, "total": null},
        "sort": null,
        "filters": {},
        "createTypes": {},
    })
}

fn fits(resource: &Value, query: &HashMap<String, String>) -> bool {
    FILTERS.iter().all(|column| {
        let found = resource[*column]
            .as_str()
            .map_or_else(|| resource[*column].to_string(), str::to_owned);
        query.get(*column).is_none_or(|wanted| found == *wanted)
            && query
                .get(&format!("{column}_ne"))
                .is_none_or(|unwanted| found != *unwanted)
    })
}
