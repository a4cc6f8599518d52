-- Play-by-play events to one row a team and game. Each query below has a name, by which later ones read it.
--
-- Written once for DuckDB and Spark SQL, so it keeps to what both mean alike: STRING for text, REGEXP_REPLACE as the
-- one function of regular expressions, doubles in place of decimals (which divide differently), NULLIF under each division. The engine defines raw_events: EVENT_COLUMNS of contract.py as they stand in the files, and file.
--
-- Possessions are counted, not estimated: each ends with a shot, a turnover, or the last of two or three free throws,
-- and an offensive rebound means that it had not ended (Oliver, Basketball on Paper, 2004, where the usual 0.44 stands
-- for what is counted here). A free throw "1 of 1" follows a made shot, or gives the ball back: it ends none.

-- query: read_events
-- What is counted, as text of one form: `shot_result` and `trip` are empty only where they should not be. `trip`: whether
-- a free throw ends its trip to the line. `live`: a rebound that decides who has the ball. The feed notes a "deadball"
-- rebound of the team after every miss that decides nothing, such as the first of two free throws; and after the buzzer
-- nobody has the ball. What is rarely needed (TRIM, REPLACE) is asked for first: a tenth of the time of this file.
SELECT
    file,
    CASE
        WHEN CAST(game_id AS STRING) LIKE ' %' OR CAST(game_id AS STRING) LIKE '% ' THEN TRIM(CAST(game_id AS STRING))
        ELSE COALESCE(CAST(game_id AS STRING), '')
    END AS game_id,
    CASE
        WHEN LENGTH(CAST(date AS STRING)) = 8 THEN CAST(date AS STRING)
        ELSE REPLACE(SUBSTR(COALESCE(CAST(date AS STRING), ''), 1, 10), '-', '')
    END AS day,
    CASE
        WHEN CAST(period AS STRING) LIKE '%.0'
            THEN SUBSTR(CAST(period AS STRING), 1, LENGTH(CAST(period AS STRING)) - 2)
        ELSE COALESCE(CAST(period AS STRING), '')
    END AS period,
    COALESCE(CAST(clock AS STRING), '') AS clock,
    CASE
        WHEN CAST(actionNumber AS STRING) LIKE '%.0'
            THEN SUBSTR(CAST(actionNumber AS STRING), 1, LENGTH(CAST(actionNumber AS STRING)) - 2)
        ELSE COALESCE(CAST(actionNumber AS STRING), '')
    END AS action,
    COALESCE(CAST(actionType AS STRING), '') AS kind,
    CASE
        WHEN actionType IN ('2pt', '3pt', 'freethrow') THEN COALESCE(CAST(shotResult AS STRING), '')
        ELSE 'none'
    END AS shot_result,
    TRIM(COALESCE(CAST(team AS STRING), '')) AS team,
    CASE
        WHEN actionType IS NULL OR actionType <> 'freethrow' THEN 'none'
        WHEN COALESCE(CAST(description AS STRING), '') = '' THEN ''
        WHEN description LIKE '%2 of 2%' OR description LIKE '%3 of 3%' THEN 'ended'
        ELSE 'goes on'
    END AS trip,
    COALESCE(actionType = 'rebound', FALSE)
        AND COALESCE(CAST(qualifier AS STRING), '') NOT LIKE '%deadball%'
        AND COALESCE(CAST(clock AS STRING), '') <> 'PT00M00.00S' AS live
FROM raw_events
WHERE actionType IS NULL OR actionType IN ('', '2pt', '3pt', 'freethrow', 'rebound', 'turnover')

-- table: events
-- One row an event, however many files it stands in (`copies`); rows that contradict each other stay apart. Checked once
-- they are one: `broken` names the first column that breaks its rule (aggregate.py says the rules in words).
SELECT
    *,
    TRY_CAST(period AS INT) AS period_number,
    TRY_CAST(action AS INT) AS action_number,
    CASE
        WHEN game_id = '' THEN 'game_id'
        WHEN day = ''
            OR REGEXP_REPLACE(day, '^(19|20)[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$', '') <> ''
            OR (SUBSTR(day, 7, 2) > '28'
                AND TRY_CAST(CONCAT(SUBSTR(day, 1, 4), '-', SUBSTR(day, 5, 2), '-', SUBSTR(day, 7, 2)) AS DATE) IS NULL)
            THEN 'date'
        WHEN period NOT IN ('1', '2', '3', '4')
            AND (period = '' OR REGEXP_REPLACE(period, '^[1-9][0-9]?$', '') <> '') THEN 'period'
        WHEN clock = '' OR REGEXP_REPLACE(clock, '^PT[0-9]{2}M[0-9]{2}[.][0-9]{2}S$', '') <> '' THEN 'clock'
        WHEN action = '' OR REGEXP_REPLACE(action, '^[0-9]{1,9}$', '') <> '' THEN 'actionNumber'
        WHEN kind = '' THEN 'actionType'
        WHEN kind IN ('2pt', '3pt', 'freethrow') AND shot_result NOT IN ('Made', 'Missed') THEN 'shotResult'
        WHEN team = '' THEN 'team'
        WHEN trip = '' THEN 'description'
    END AS broken
FROM (
    SELECT game_id, day, period, clock, action, kind, shot_result, team, trip, live, COUNT(*) AS copies
    FROM read_events
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
) AS collapsed

-- query: broken_events
-- Where they stand: by looking once more, because an event that stands in several files is one row above.
SELECT
    file,
    broken AS broken_column,
    CASE broken
        WHEN 'game_id' THEN events.game_id
        WHEN 'date' THEN events.day
        WHEN 'period' THEN events.period
        WHEN 'clock' THEN events.clock
        WHEN 'actionNumber' THEN events.action
        WHEN 'actionType' THEN events.kind
        WHEN 'shotResult' THEN events.shot_result
        WHEN 'team' THEN events.team
        WHEN 'description' THEN events.trip
    END AS found,
    COUNT(*) AS copies
FROM read_events
JOIN events USING (game_id, day, period, clock, action, kind, shot_result, team, trip, live)
WHERE broken IS NOT NULL
GROUP BY 1, 2, 3

-- table: games
-- Which games can be counted, and what keeps the others from it.
SELECT
    *,
    CASE
        WHEN n_broken > 0 THEN 'has bad events'
        WHEN n_events <> n_actions THEN 'has events that contradict each other under one actionNumber'
        WHEN first_day <> last_day THEN 'has events of several days'
        WHEN n_teams <> 2 THEN 'does not have events of two teams'
        WHEN periods < 4 THEN 'has not reached the fourth period'
    END AS left_out
FROM (
    SELECT
        game_id,
        MIN(CASE WHEN broken IS NULL THEN day END) AS first_day,
        MAX(CASE WHEN broken IS NULL THEN day END) AS last_day,
        MAX(CASE WHEN broken IS NULL THEN period_number ELSE 0 END) AS periods,
        COUNT(DISTINCT CASE WHEN broken IS NULL THEN team END) AS n_teams,
        SUM(CASE WHEN broken IS NULL THEN 0 ELSE 1 END) AS n_broken,
        SUM(CASE WHEN broken IS NULL THEN 1 ELSE 0 END) AS n_events,
        COUNT(DISTINCT CASE WHEN broken IS NULL THEN action_number END) AS n_actions
    FROM events
    WHERE game_id <> ''
    GROUP BY game_id
) AS counted

-- query: ordered_events
-- Whose shot a live rebound follows. Within a second the order is that of actionNumber, but a corrected event gets a late
-- number. What is no shot and no live rebound stands in a partition of its own.
SELECT
    events.*,
    LAG(CASE WHEN events.kind <> 'rebound' THEN events.team END) OVER (
        PARTITION BY events.game_id, events.kind = 'turnover' OR (events.kind = 'rebound' AND NOT events.live)
        ORDER BY events.period_number, events.clock DESC, events.action_number
    ) AS shooting_team
FROM events JOIN games ON events.game_id = games.game_id
WHERE games.left_out IS NULL

-- query: box_scores
SELECT
    game_id,
    team,
    MAX(day) AS day,
    SUM(CASE WHEN shot_result = 'Made' THEN CASE kind WHEN '3pt' THEN 3 WHEN '2pt' THEN 2 ELSE 1 END ELSE 0 END) AS points,
    SUM(CASE WHEN kind IN ('2pt', '3pt') THEN 1 ELSE 0 END) AS field_goals_attempted,
    SUM(CASE WHEN kind IN ('2pt', '3pt') AND shot_result = 'Made' THEN 1 ELSE 0 END) AS field_goals_made,
    SUM(CASE WHEN kind = '3pt' THEN 1 ELSE 0 END) AS threes_attempted,
    SUM(CASE WHEN kind = '3pt' AND shot_result = 'Made' THEN 1 ELSE 0 END) AS threes_made,
    SUM(CASE WHEN kind = 'freethrow' THEN 1 ELSE 0 END) AS free_throws_attempted,
    SUM(CASE WHEN kind = 'freethrow' AND shot_result = 'Made' THEN 1 ELSE 0 END) AS free_throws_made,
    SUM(CASE WHEN trip = 'ended' THEN 1 ELSE 0 END) AS free_throw_trips,
    SUM(CASE WHEN kind = 'turnover' THEN 1 ELSE 0 END) AS turnovers,
    SUM(CASE WHEN live AND team = shooting_team THEN 1 ELSE 0 END) AS offensive_rebounds,
    SUM(CASE WHEN live AND team <> shooting_team THEN 1 ELSE 0 END) AS defensive_rebounds
FROM ordered_events
GROUP BY 1, 2

-- table: counted_possessions
SELECT *, field_goals_attempted + free_throw_trips + turnovers - offensive_rebounds AS possessions
FROM box_scores

-- query: team_games
-- Shares and rates are the Four Factors (Oliver 2004) of the team and, with "opponent_", of what it allowed.
SELECT
    own.game_id,
    CONCAT(SUBSTR(own.day, 1, 4), '-', SUBSTR(own.day, 5, 2), '-', SUBSTR(own.day, 7, 2)) AS date,
    own.team,
    other.team AS opponent,
    CAST(48 + 5 * (games.periods - 4) AS INT) AS minutes,
    CAST(own.points AS INT) AS points,
    CAST(other.points AS INT) AS opponent_points,
    CAST(own.possessions AS INT) AS possessions,
    CAST(other.possessions AS INT) AS opponent_possessions,
    CAST(own.field_goals_made AS INT) AS field_goals_made,
    CAST(own.field_goals_attempted AS INT) AS field_goals_attempted,
    CAST(own.threes_made AS INT) AS threes_made,
    CAST(own.threes_attempted AS INT) AS threes_attempted,
    CAST(own.free_throws_made AS INT) AS free_throws_made,
    CAST(own.free_throws_attempted AS INT) AS free_throws_attempted,
    CAST(own.offensive_rebounds AS INT) AS offensive_rebounds,
    CAST(own.defensive_rebounds AS INT) AS defensive_rebounds,
    CAST(own.turnovers AS INT) AS turnovers,
    24.0E0 * (own.possessions + other.possessions) / (48 + 5 * (games.periods - 4)) AS pace,
    100.0E0 * own.points / NULLIF(own.possessions, 0) AS offensive_efficiency,
    100.0E0 * other.points / NULLIF(other.possessions, 0) AS defensive_efficiency,
    (own.field_goals_made + 0.5E0 * own.threes_made) / NULLIF(own.field_goals_attempted, 0) AS effective_field_goal_share,
    1.0E0 * own.turnovers / NULLIF(own.possessions, 0) AS turnover_share,
    1.0E0 * own.offensive_rebounds / NULLIF(own.offensive_rebounds + other.defensive_rebounds, 0)
        AS offensive_rebound_share,
    1.0E0 * own.free_throws_made / NULLIF(own.field_goals_attempted, 0) AS free_throw_rate,
    (other.field_goals_made + 0.5E0 * other.threes_made) / NULLIF(other.field_goals_attempted, 0)
        AS opponent_effective_field_goal_share,
    1.0E0 * other.turnovers / NULLIF(other.possessions, 0) AS opponent_turnover_share,
    1.0E0 * other.offensive_rebounds / NULLIF(other.offensive_rebounds + own.defensive_rebounds, 0)
        AS opponent_offensive_rebound_share,
    1.0E0 * other.free_throws_made / NULLIF(other.field_goals_attempted, 0) AS opponent_free_throw_rate
FROM counted_possessions AS own
JOIN counted_possessions AS other ON own.game_id = other.game_id AND own.team <> other.team
JOIN games ON own.game_id = games.game_id
ORDER BY own.day, own.game_id, own.team

-- query: other_events
-- Kinds of events that nothing here counts: substitutions, timeouts, and whatever a feed may add.
SELECT CAST(actionType AS STRING) AS kind, COUNT(*) AS n_rows
FROM raw_events
WHERE actionType NOT IN ('', '2pt', '3pt', 'freethrow', 'rebound', 'turnover')
GROUP BY 1
ORDER BY 1
