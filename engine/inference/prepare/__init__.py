"""From requests to work items: template, tokens, length policy, coverage. One place for runs, previews, trials, counts."""
