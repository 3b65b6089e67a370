-- From layout 3 to layout 4; run inside a transaction that is not of this file. Checksums stay as they are: they leave an
-- empty locator out.
ALTER TABLE document ADD COLUMN locator TEXT NOT NULL DEFAULT '';
