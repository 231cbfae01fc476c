-- Three roles and a database for each service that has one, as in production (docs/operations.md, Database roles).
CREATE ROLE hubbub_service;
CREATE ROLE hubbub_every_tenant;

CREATE ROLE messages LOGIN PASSWORD 'development';
CREATE ROLE messages_service LOGIN PASSWORD 'development' IN ROLE hubbub_service;
CREATE ROLE messages_sweeper LOGIN PASSWORD 'development' IN ROLE hubbub_every_tenant;
CREATE DATABASE messages OWNER messages;
REVOKE ALL ON DATABASE messages FROM PUBLIC;
GRANT CONNECT ON DATABASE messages TO messages_service, messages_sweeper;

CREATE ROLE media LOGIN PASSWORD 'development';
CREATE ROLE media_service LOGIN PASSWORD 'development' IN ROLE hubbub_service;
CREATE ROLE media_sweeper LOGIN PASSWORD 'development' IN ROLE hubbub_every_tenant;
CREATE DATABASE media OWNER media;
REVOKE ALL ON DATABASE media FROM PUBLIC;
GRANT CONNECT ON DATABASE media TO media_service, media_sweeper;

CREATE ROLE integrations LOGIN PASSWORD 'development';
CREATE ROLE integrations_service LOGIN PASSWORD 'development' IN ROLE hubbub_service;
CREATE ROLE integrations_sweeper LOGIN PASSWORD 'development' IN ROLE hubbub_every_tenant;
CREATE DATABASE integrations OWNER integrations;
REVOKE ALL ON DATABASE integrations FROM PUBLIC;
GRANT CONNECT ON DATABASE integrations TO integrations_service, integrations_sweeper;
